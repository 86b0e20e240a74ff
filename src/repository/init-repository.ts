import { createHash, randomBytes } from 'node:crypto';
import { type Clock, HoldfastError } from '../lib/index.ts';
import { COMPRESSION_LEVEL, REPOSITORY_ID_BYTES } from './codec/index.ts';
import { diagnosePlace } from './diagnose-place.ts';
import { encodeFormat, FORMAT_NAME, KEY_SLOTS_FEATURE, makeFormat, setFeature } from './format/index.ts';
import {
  type Credential,
  drawKeyMaterial,
  formatKeyName,
  KeyRing,
  makeGrant,
  makeKeySlot,
  readSecret,
  toLockingSecret,
} from './key/index.ts';
import type { ObjectStore } from './object-store/index.ts';
import { probeStore, whyUnfit } from './probe/index.ts';
import { Repository } from './repository.ts';

/**
 * Creates a repository where the place is free and keeps its promises: a key slot, then `format`, which makes it one.
 *
 * May be repeated after a broken try, of which nothing is replaced: its slots open nothing, as the id of a repository is drawn anew each time and
 * authenticated with every slot. If two create one at once, one `format` is stored and the other try is refused.
 * Errors: `REPOSITORY_EXISTS`; `REPOSITORY_PLACE_NOT_EMPTY`; `REPOSITORY_FORMAT_ABSENT`; those of `whyUnfit`, of the credential and of the store.
 */
export async function initRepository(options: {
  store: ObjectStore;
  credential: Credential;
  label?: string;
  clock: Clock;
  /** Called when the place has proved free and fit, just before the first key is stored. */
  onBegin?: () => void;
}): Promise<Repository> {
  const { store, credential, clock } = options;
  const secret = await readSecret(credential);
  await store.createPlace?.();
  await checkPlaceIsFree(store);
  const reason = whyUnfit(store, await probeStore(store, { clock }));
  if (reason !== null) throw reason;
  options.onBegin?.();

  const createdAt = new Date(clock.now()).toISOString();
  const id = randomBytes(REPOSITORY_ID_BYTES);
  const format = makeFormat({ id: id.toString('hex'), createdAt, compressionLevel: COMPRESSION_LEVEL });
  const formatBytes = encodeFormat(format);
  const formatSha256 = createHash('sha256').update(formatBytes).digest('hex');
  const bundle = { material: drawKeyMaterial(id), formatSha256 };
  const keys = KeyRing.fromMaterial(bundle.material);
  const label = options.label ?? 'first key';
  const { slot, pair, bytes } = await makeKeySlot({ keys, secret: await toLockingSecret(secret), label, createdAt });
  const grant = makeGrant(keys, { slot, slotKey: pair.publicKey }, bundle);
  const slotName = formatKeyName({ kind: 'slot', slot });

  await setFeature(store, KEY_SLOTS_FEATURE);
  await store.putIfAbsent(grant.name, grant.bytes);
  await store.putIfAbsent(slotName, bytes);
  // Last of all: from here on it is a repository, and it has a key.
  await putFormat(store, formatBytes, [slotName, grant.name]);
  return new Repository({ store, format, opened: { slot, bundle, secret }, access: 'write', clock });
}

async function checkPlaceIsFree(store: ObjectStore): Promise<void> {
  const place = await diagnosePlace(store);
  switch (place.state) {
    case 'empty':
    case 'half-created':
      return;
    case 'format':
      throw repositoryExists(store);
    case 'format-absent':
      throw place.error;
    case 'foreign':
      throw new HoldfastError(
        'REPOSITORY_PLACE_NOT_EMPTY',
        `cannot create a repository in ${store.description}: it is not empty`,
        {
          detail: `Expected nothing there, found "${place.example}".`,
          hints: ['Choose an empty directory or prefix; nothing there was touched.'],
        },
      );
  }
}

async function putFormat(store: ObjectStore, formatBytes: Buffer, ownKeys: readonly string[]): Promise<void> {
  if ((await store.putIfAbsent(FORMAT_NAME, formatBytes)) === 'created') return;
  // Our own, if an answer was lost and the call repeated.
  if (formatBytes.equals(await store.get(FORMAT_NAME))) return;
  // Somebody else was faster. Our slot wraps keys of a repository that never came to be.
  for (const name of ownKeys) await store.delete(name);
  throw repositoryExists(store);
}

function repositoryExists(store: ObjectStore): HoldfastError {
  return new HoldfastError('REPOSITORY_EXISTS', `cannot create a repository in ${store.description}: there is one`, {
    detail: 'Expected a free place, found the object "format".',
    hints: ['Use it as it is, or choose another directory or prefix.'],
  });
}
