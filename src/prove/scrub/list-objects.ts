import { type ChunkIndex, kindPrefix, parseKeyName, type Repository } from '../../repository/index.ts';
import type { Bits } from './bits.ts';

/** What one listing of packs shows beside the index. */
export interface PackListing {
  /** Bytes of each pack by its number in the index; −1 for one that is not in the store. */
  readonly sizes: Float64Array;
  /** Packs that no readable index object names. */
  readonly unindexed: readonly { readonly name: string; readonly packId: Buffer; readonly size: number }[];
  /** Objects among the packs whose name none has. */
  readonly foreign: readonly string[];
}

const PACK_ID = /^[0-9a-f]{64}$/;

/** Lists packs once, which shows at once what is missing. Errors: those of the store. */
export async function listPackObjects(repository: Repository, index: ChunkIndex): Promise<PackListing> {
  const sizes = new Float64Array(index.packCount).fill(-1);
  const unindexed: { name: string; packId: Buffer; size: number }[] = [];
  const foreign: string[] = [];
  for await (const { name, size } of repository.store.list(kindPrefix('data-pack'))) {
    const id = name.slice(kindPrefix('data-pack').length);
    if (!PACK_ID.test(id)) {
      foreign.push(name);
      continue;
    }
    const packId = Buffer.from(id, 'hex');
    const number = index.packNumberOf(packId);
    if (number === undefined) unindexed.push({ name, packId, size });
    else sizes[number] = size;
  }
  return { sizes, unindexed, foreign };
}

/** The packs that are needed and not there. One that the listing missed is asked for by name before it is called absent. */
export async function findMissingPacks(
  repository: Repository,
  index: ChunkIndex,
  { sizes }: PackListing,
  needed: Bits,
): Promise<number[]> {
  const missing: number[] = [];
  for (let number = 0; number < sizes.length; number++) {
    if (sizes[number] !== -1 || !needed.has(number)) continue;
    const stat = await repository.store.stat(kindPrefix('data-pack') + index.packOf(number).packId.toString('hex'));
    if (stat === null) missing.push(number);
    else sizes[number] = stat.size;
  }
  return missing;
}

/** The names that objects have, all kinds but keys, which know their names themselves. */
const KNOWN_NAMES: readonly RegExp[] = [
  /^format$/,
  /^features\/[A-Za-z0-9._-]+$/,
  /^(packs|index|tombstones|holds|erasure)\/[0-9a-f]{64}$/,
  /^snapshots\/(pending|committed|forgotten)\/[0-9a-f]{64}$/,
  /^attest\/([0-9a-f]{64}|doubts)\/[0-9a-f]{64}$/,
  /^damage\/(object\.)?[0-9a-f]{64}(\.[0-9]{8})?$/,
  /^runs\/[^/]+\/[0-9a-f]{8}$/,
  /^ledger\/[0-9a-f]{32}\/[0-9a-f]{16}$/,
  // Names of WAL are judged by whoever reads it, and what is volatile is nobody's record.
  /^(wal|volatile)\//,
];

/** Objects whose names no version that this one knows gives; the first few. Errors: those of the store. */
export async function listForeignNames(repository: Repository, namesMax: number): Promise<string[]> {
  const foreign: string[] = [];
  for await (const { name } of repository.store.list('')) {
    if (parseKeyName(name) !== null || KNOWN_NAMES.some((shape) => shape.test(name))) continue;
    foreign.push(name);
    if (foreign.length === namesMax) break;
  }
  return foreign;
}
