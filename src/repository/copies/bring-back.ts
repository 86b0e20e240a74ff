import { HoldfastError, inLanes } from '../../lib/index.ts';
import { isAbsent, isDamageOfOnePlace, type ObjectStore, readProved, type StorePlace } from '../object-store/index.ts';
import { comparePlaces } from './merge-listings.ts';
import { isPlaceTrouble } from './place-watch.ts';
import { type Provers, proveObject } from './prove-object.ts';
import { transferObject } from './transfer.ts';

/** Objects under way at once: enough to hide the latency of a far place, few enough for memory (4 MiB each). */
const LANES = 8;

/** What the primary lacks under a prefix, and a copy has. Errors: those of both stores. */
export async function listOnlyInCopy(primary: ObjectStore, copy: ObjectStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, entries } of comparePlaces(primary, copy, prefix)) {
    const [held, offered] = entries;
    if ((held === null || held === undefined) && offered !== null && offered !== undefined) names.push(name);
  }
  return names;
}

/**
 * Brings objects from copies to the primary: each is proved whole in one of them first, as nothing that is there is ever overwritten.
 *
 * `accepts` is asked of a name under which the primary has other bytes. Gives the names that were put there now.
 * Errors: `REPOSITORY_HOME_DIFFERS` when it does not accept them; the first copy's, when no copy has an object whole; those of the primary.
 */
export async function bringBack(options: {
  provers: Provers;
  /** Copies, the one to ask first before the others. */
  from: readonly StorePlace[];
  to: ObjectStore;
  names: readonly string[];
  accepts?: (name: string, copy: ObjectStore) => Promise<boolean>;
  /** Waits until so many more bytes may be brought. */
  pace?: (bytes: number) => Promise<void>;
  onObject?: (object: { name: string; bytes: number }) => void;
  signal?: AbortSignal;
}): Promise<string[]> {
  const { to, names, accepts, pace, onObject, signal } = options;
  const brought: string[] = [];
  await inLanes(LANES, names, async (name) => {
    signal?.throwIfAborted();
    const from = await findWhole(options, name);
    const { outcome, bytes } = await transferObject({ name, from, to, ...(pace && { pace }) });
    if (outcome === 'differs' && (await accepts?.(name, from)) !== true) throw differsAtHome(name);
    if (outcome !== 'copied') return;
    brought.push(name);
    onObject?.({ name, bytes });
  });
  return brought;
}

async function findWhole(
  { provers, from }: { provers: Provers; from: readonly StorePlace[] },
  name: string,
): Promise<ObjectStore> {
  let first: HoldfastError | null = null;
  for (const { store } of from) {
    try {
      return await readProved(store, name, async (version) => {
        await proveObject(provers, version, name);
        return version;
      });
    } catch (error) {
      if (!isAbsent(error) && !isDamageOfOnePlace(error) && !isPlaceTrouble(error)) throw error;
      first ??= error;
    }
  }
  throw first ?? new HoldfastError('STORE_FAILED', `could not read object "${name}": no place may be asked`);
}

function differsAtHome(name: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_HOME_DIFFERS',
    `cannot bring a snapshot to the primary: object "${name}" differs there`,
    {
      detail: 'Expected the primary to lack it, or to have the same, found other bytes. Both were left alone.',
      hints: [
        'The snapshot can be restored from the copy that has it: holdfast restore --from.',
        'Run `holdfast copies compare --deep` to see what else differs.',
      ],
    },
  );
}
