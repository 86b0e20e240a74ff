import type { HoldfastError } from '../../lib/index.ts';
import type { PutOutcome, Repository } from '../../repository/index.ts';
import { historyObjectName, type LineagePlace } from './object-names.ts';
import { isWalDamage } from './stored-wal.ts';

/**
 * The first object of a lineage and the history of a timeline are stored twice: some hundred bytes without which no WAL of theirs can be used, and
 * whose names can never be written again. The second copy has a name of its own, so that it is sealed for itself.
 */
export function secondCopyName(objectName: string): string {
  return `${objectName}.copy`;
}

type SmallKind = 'wal-lineage' | 'timeline-history';

/** Stores a small object twice, the one that counts first. Gives what became of the first. Safe to repeat. Errors: those of the store. */
export async function putTwice(
  repository: Repository,
  kind: SmallKind,
  objectName: string,
  body: Uint8Array,
): Promise<PutOutcome> {
  const outcome = await repository.putBody(kind, objectName, body);
  if (outcome === 'created') await repository.putBody(kind, secondCopyName(objectName), body);
  return outcome;
}

/** The body from the first copy that is sound, and why the one that counts could not be used. Errors: of the first, when neither is. */
export async function getEither<T>(
  repository: Repository,
  kind: SmallKind,
  objectName: string,
  decode: (body: Buffer) => T,
): Promise<{ value: T; trouble: HoldfastError | null }> {
  try {
    return { value: decode(await repository.getBody(kind, objectName)), trouble: null };
  } catch (error) {
    if (!isWalDamage(error)) throw error;
    try {
      return { value: decode(await repository.getBody(kind, secondCopyName(objectName))), trouble: error };
    } catch (second) {
      if (!isWalDamage(second)) throw second;
      throw error;
    }
  }
}

/** A history file as the server has it. Errors: as `getBody`. */
export async function readHistoryFile(repository: Repository, place: LineagePlace, timeline: number): Promise<Buffer> {
  const name = historyObjectName(place, timeline);
  return (await getEither(repository, 'timeline-history', name, (body) => body)).value;
}
