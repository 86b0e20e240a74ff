import { HoldfastError } from '../../lib/index.ts';
import { decodeHeader, HEADER_BYTES } from '../codec/index.ts';
import { FORMAT_NAME, readFormatHead } from '../format/index.ts';
import { SLOT_PREFIX } from '../key/index.ts';
import { getIfThere, type ObjectStore, VOLATILE_PREFIX } from '../object-store/index.ts';

/**
 * What a place is to a repository.
 *
 * `same`: its `format` is the repository's, byte for byte. `empty`: nothing is there, or key slots alone. `unformatted`: objects of the repository,
 * and no `format`, or one that is damaged.
 */
export type PlaceIdentity = 'same' | 'empty' | 'unformatted';

/** Of each kind that every repository has, one object is asked whose it is. */
const ASKED_PREFIXES = ['packs/', 'index/', 'ledger/', 'snapshots/', 'wal/', 'attest/'];

/** The bytes of `format` in a place, `null` when it has none. Errors: those of the store. */
export function readFormatBytes(store: ObjectStore): Promise<Buffer | null> {
  return getIfThere(store, FORMAT_NAME);
}

/**
 * Finds out whether a place may be a copy of the repository with these bytes of `format`. Nothing is written.
 *
 * `trustFormat`: equal bytes are enough; else the objects beside them are asked, too. Errors: `REPOSITORY_COPY_FOREIGN` for a place of another repository, or of something else; those of the store.
 */
export async function identifyPlace(
  place: { name: string; store: ObjectStore },
  format: Buffer,
  { trustFormat = true }: { trustFormat?: boolean } = {},
): Promise<PlaceIdentity> {
  const expected = idOf(format);
  const bytes = await readFormatBytes(place.store);
  const isEqual = bytes?.equals(format) === true;
  if (isEqual && trustFormat) return 'same';
  const found = bytes === null ? null : idOf(bytes);
  const owner = await findOwner(place.store);
  // A damaged `format` may bear any id: what the objects say counts.
  if (owner.kind === 'repository') {
    if (owner.id === expected) return isEqual ? 'same' : 'unformatted';
    throw foreign(place, `repository ${expected ?? 'of the primary'}`, `objects of repository ${owner.id}`);
  }
  if (isEqual) return 'same';
  if (found !== null) throw foreign(place, `repository ${expected ?? 'of the primary'}`, `repository ${found}`);
  if (bytes !== null) throw foreign(place, 'an empty place or a copy', 'an object "format" that is not ours');
  if (owner.kind === 'other')
    throw foreign(place, 'an empty place or a copy', `other objects, such as "${owner.example}"`);
  return 'empty';
}

function idOf(format: Buffer): string | null {
  const head = readFormatHead(format);
  return head.state === 'ours' ? head.id : null;
}

type Owner = { kind: 'none' } | { kind: 'repository'; id: string } | { kind: 'other'; example: string };

async function findOwner(store: ObjectStore): Promise<Owner> {
  for (const prefix of ASKED_PREFIXES) {
    for await (const { name, size } of store.list(prefix)) {
      if (size < HEADER_BYTES) continue;
      const id = readOwner(await store.getRange(name, 0, HEADER_BYTES), name);
      if (id !== null) return { kind: 'repository', id };
      break;
    }
  }
  const skipped = [FORMAT_NAME, SLOT_PREFIX, VOLATILE_PREFIX, 'features/'];
  for await (const { name } of store.list('')) {
    if (!skipped.some((prefix) => name.startsWith(prefix))) return { kind: 'other', example: name };
  }
  return { kind: 'none' };
}

function readOwner(header: Buffer, name: string): string | null {
  try {
    return Buffer.from(decodeHeader(header, name).repositoryId).toString('hex');
  } catch {
    // Damaged, or no object of ours: it says nothing about whose the place is.
    return null;
  }
}

function foreign(place: { name: string; store: ObjectStore }, expected: string, found: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_COPY_FOREIGN',
    `cannot use copy "${place.name}" in ${place.store.description}: it is no copy of this repository`,
    {
      detail: `Expected ${expected}, found ${found}. Nothing was changed there.`,
      hints: ['Check the location of the copy in the plan, and give it a place of its own.'],
    },
  );
}
