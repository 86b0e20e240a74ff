import { createHash } from 'node:crypto';
import { type Clock, codeOf, HoldfastError } from '../lib/index.ts';
import { decodeHeader, HEADER_BYTES, kindPrefix } from './codec/index.ts';
import { diagnosePlace } from './diagnose-place.ts';
import { checkFeatures, decodeFormat, FORMAT_NAME, readFormatHead } from './format/index.ts';
import {
  type Credential,
  type KeySecret,
  keyLeftBehind,
  listStoredKeys,
  type OpenedKeys,
  openKeys,
  readSecret,
  rememberSigner,
  SLOT_PREFIX,
  type StoredKeys,
  signingKeyOf,
} from './key/index.ts';
import { isAbsent, type ObjectStore } from './object-store/index.ts';
import { Repository } from './repository.ts';
import type { Access } from './sealed/index.ts';

/**
 * Opens a repository: `format`, then features, then keys, then the proof that the keys belong to this very `format`.
 *
 * `stateDirectory`: where temporary files go, and where the signing key is remembered. Errors: `REPOSITORY_ABSENT`; `REPOSITORY_HALF_CREATED`; `REPOSITORY_FORMAT_ABSENT`;
 * `REPOSITORY_FOREIGN`; `REPOSITORY_FORMAT_DAMAGED`; `REPOSITORY_NEWER`; `REPOSITORY_FEATURE_UNRECOGNIZED`; `KEY_EPOCH_BEHIND`; `KEY_SIGNER_CHANGED`;
 * `REPOSITORY_FORMAT_CHANGED`; `REPOSITORY_FORMAT_UNRECOGNIZED`; those of `openKeys`, of the credential and of the store.
 */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  try {
    return await openBy(options, options.roots ?? options.store);
  } catch (error) {
    if (!isOfRoots(error, options.access)) throw error;
    return await openByOtherPlace(options, error);
  }
}

interface OpenOptions {
  store: ObjectStore;
  /** Where `format` and keys are read, when the store cannot be asked for them: a whole copy, which the keys prove. */
  roots?: ObjectStore;
  credential: Credential;
  access: Access;
  clock: Clock;
  stateDirectory?: string;
}

/** What `format` and keys can be like in one place while another one has them whole. */
const ROOT_CODES: ReadonlySet<string> = new Set([
  ...['REPOSITORY_FORMAT_ABSENT', 'REPOSITORY_FORMAT_CHANGED', 'REPOSITORY_FORMAT_DAMAGED'],
]);

/** A key slot that is damaged opens nothing, and neither does a wrong key: who only reads may ask another place which of the two it is. */
function isOfRoots(error: unknown, access: Access): boolean {
  const code = codeOf(error) ?? '';
  return ROOT_CODES.has(code) || (access === 'read' && code === 'REPOSITORY_KEY_REJECTED');
}

/** Each place has `format` and keys; whichever opens is the right one, as they prove each other. Errors: the first one, when no place opens. */
async function openByOtherPlace(options: OpenOptions, first: unknown): Promise<Repository> {
  for (const place of options.store.places ?? []) {
    try {
      return await openBy(options, place.store);
    } catch {
      // What is wrong in the place that is read first is what has to be said.
    }
  }
  throw first;
}

/** Opens what lies in the store by `format` and keys as they lie in `roots`. */
async function openBy(options: OpenOptions, roots: ObjectStore): Promise<Repository> {
  const { credential, access, clock } = options;
  // Asked for together, as none needs the other; what they say is looked at in the order above.
  const reading = { features: checkFeatures(roots, access), keys: listStoredKeys(roots) };
  for (const part of Object.values(reading)) part.catch(() => {}); // Each is awaited below, unless something before it is wrong.
  const formatBytes = await getFormat(roots);
  const repositoryId = Buffer.from(await readId(roots, formatBytes), 'hex');
  await reading.features;
  const opened = await openKeysOrExplain(roots, reading.keys, repositoryId, await readSecret(credential));
  const expected = opened.bundle.formatSha256;
  const found = createHash('sha256').update(formatBytes).digest('hex');
  if (expected !== found) {
    throw formatChanged(roots, `Expected SHA-256 ${expected}, which its keys repeat, found ${found}.`);
  }
  const format = decodeFormat(formatBytes);
  // What would be written with an older epoch could be read by whoever the new one was to keep out. Reading what is old goes on.
  if (access !== 'read' && opened.leftBehind !== null) {
    throw keyLeftBehind('write to the repository', opened.slot, opened.leftBehind);
  }
  if (options.stateDirectory !== undefined) {
    await rememberSigner(options.stateDirectory, format.id, signingKeyOf(opened.bundle.material.signingSeed));
  }
  const scratch = options.stateDirectory === undefined ? {} : { scratchDirectory: options.stateDirectory };
  return new Repository({ store: options.store, format, opened, access, clock, ...scratch });
}

async function getFormat(store: ObjectStore): Promise<Buffer> {
  try {
    return await store.get(FORMAT_NAME);
  } catch (error) {
    if (codeOf(error) === 'STORE_ABSENT') throw repositoryAbsent(store, error);
    if (!isAbsent(error)) throw error;
  }
  const place = await diagnosePlace(store);
  switch (place.state) {
    case 'format':
      // It came to be a moment ago.
      return store.get(FORMAT_NAME);
    case 'empty':
      throw repositoryAbsent(store);
    case 'format-absent':
      throw place.error;
    case 'foreign':
      throw foreign(store, `Expected the object "format", found others, such as "${place.example}".`);
    case 'half-created':
      throw new HoldfastError(
        'REPOSITORY_HALF_CREATED',
        `cannot open the repository in ${store.description}: it is half-created`,
        {
          detail:
            'Its keys are there, but the object "format", which is written last, is not; nothing was ever stored in it.',
          hints: ['Run `holdfast repository init` again.'],
        },
      );
  }
}

async function readId(store: ObjectStore, formatBytes: Buffer): Promise<string> {
  const head = readFormatHead(formatBytes);
  switch (head.state) {
    case 'ours':
      return head.id;
    case 'foreign':
      if (await hasKeySlots(store)) throw formatDamaged(store);
      throw foreign(store, 'Its object "format" does not say that it belongs to Holdfast.');
    case 'newer':
      throw new HoldfastError(
        'REPOSITORY_NEWER',
        `cannot open the repository in ${store.description}: it is of version ${head.version}`,
        {
          detail: `Expected version 1, found version ${head.version}.`,
          hints: ['Install a newer version of Holdfast.'],
        },
      );
    case 'damaged':
      throw formatDamaged(store);
  }
}

/** Whether there are key slots as we name them: then it is ours, whatever became of its `format`. */
async function hasKeySlots(store: ObjectStore): Promise<boolean> {
  for await (const { name } of store.list(SLOT_PREFIX)) if (/^keys\/[0-9a-f]{32}$/.test(name)) return true;
  return false;
}

/** A changed id in `format` makes every key fail. So before a key is blamed, some other object is asked whose it is. */
async function openKeysOrExplain(
  store: ObjectStore,
  stored: Promise<StoredKeys>,
  repositoryId: Buffer,
  secret: KeySecret,
): Promise<OpenedKeys> {
  try {
    return await openKeys(store, repositoryId, secret, { stored });
  } catch (error) {
    if (codeOf(error) !== 'REPOSITORY_KEY_REJECTED') throw error;
    const other = await findOtherId(store, repositoryId);
    if (other === null) throw error;
    throw formatChanged(
      store,
      `Expected id ${other}, which other objects bear, found ${repositoryId.toString('hex')}.`,
    );
  }
}

/** The repository id in the header of the first object of each common kind, if it is another one. */
async function findOtherId(store: ObjectStore, repositoryId: Buffer): Promise<string | null> {
  for (const kind of ['ledger', 'index', 'snapshot-committed', 'attestation'] as const) {
    for await (const { name, size } of store.list(kindPrefix(kind))) {
      const id = size < HEADER_BYTES ? null : readOwner(await store.getRange(name, 0, HEADER_BYTES), name);
      if (id !== null && !id.equals(repositoryId)) return id.toString('hex');
      break;
    }
  }
  return null;
}

function readOwner(header: Buffer, name: string): Buffer | null {
  try {
    return Buffer.from(decodeHeader(header, name).repositoryId);
  } catch {
    // Damaged itself: it says nothing about the format.
    return null;
  }
}

function repositoryAbsent(store: ObjectStore, cause?: unknown): HoldfastError {
  return new HoldfastError('REPOSITORY_ABSENT', `cannot find a repository in ${store.description}`, {
    detail:
      cause instanceof HoldfastError && cause.detail !== undefined
        ? cause.detail
        : 'Expected the object "format", found nothing at all.',
    hints: [
      // Only a directory can be made; what lies in a bucket has no disk that might not be mounted.
      store.createPlace === undefined
        ? 'Check the bucket or container, and the prefix.'
        : 'Check the path, and that the disk is mounted.',
      'Run `holdfast repository init` to create a repository there.',
    ],
    ...(cause === undefined ? {} : { cause }),
  });
}

function foreign(store: ObjectStore, detail: string): HoldfastError {
  return new HoldfastError('REPOSITORY_FOREIGN', `cannot open ${store.description}: it is no repository of Holdfast`, {
    detail,
    hints: ['Check the path or the prefix.'],
  });
}

function formatDamaged(store: ObjectStore): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_FORMAT_DAMAGED',
    `cannot open the repository in ${store.description}: its object "format" is damaged`,
    {
      detail: 'Expected JSON with version, id and algorithms, found something else.',
      hints: ['Put "format" back from a copy of the repository; its keys prove that it is the right one.'],
    },
  );
}

function formatChanged(store: ObjectStore, detail: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_FORMAT_CHANGED',
    `cannot open the repository in ${store.description}: its object "format" was changed`,
    {
      detail,
      hints: ['Put "format" back from a copy of the repository; its keys prove that it is the right one.'],
    },
  );
}
