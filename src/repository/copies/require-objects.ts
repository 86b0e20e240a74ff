import { type Clock, HoldfastError, inLanes, mapAhead } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import { readFormatBytes } from './identity.ts';
import { comparePlaces, type MergedEntry } from './merge-listings.ts';
import { isPlaceTrouble, type PlaceWatch } from './place-watch.ts';
import { admitPlace } from './tell-apart.ts';
import { transferObject } from './transfer.ts';
import { watched, watchedStore } from './watched-store.ts';

/** A required copy that takes nothing for so long is given up on: longer than a store's own repetitions and a restart of what stands between. */
const PATIENCE_MS = 5 * 60_000;
const RETRY_MS = 2_000;
const LANES = 8;
/** Objects that are asked for by name at the same moment: small answers, of which a large repository wants many. */
const ASKED_AT_ONCE = 32;

export interface UntilCopiedOptions {
  readonly signal?: AbortSignal;
  /** How long a copy may take nothing before it is given up on. */
  readonly patienceMs?: number;
  /** So much has arrived in a copy. */
  readonly onObject?: (object: { place: string; name: string; bytes: number }) => void;
  /** A copy takes nothing, and is waited for so long at most. Told once until it takes something again. */
  readonly onWait?: (wait: { place: string; error: HoldfastError; msMax: number }) => void;
}

/** Brings objects to one copy until it holds them all, trying again while it is away. Errors: as `CopiedStore.untilCopied`. */
export async function requireObjects(
  options: UntilCopiedOptions & { from: ObjectStore; watch: PlaceWatch; wanted: readonly string[]; clock: Clock },
): Promise<void> {
  const { watch, clock, signal, patienceMs = PATIENCE_MS } = options;
  let movedAt = clock.monotonic();
  let isWaiting = false;
  const moved = () => {
    movedAt = clock.monotonic();
    isWaiting = false;
  };
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await bringAll(options, moved);
    } catch (error) {
      // What the primary cannot give is no matter of the copy, and is told as it is.
      if (!isPlaceTrouble(error) || !watch.isAway) throw error;
      if (clock.monotonic() - movedAt >= patienceMs || isHopeless(error)) throw copyAway(watch, error);
      if (!isWaiting) options.onWait?.({ place: watch.place.name, error, msMax: patienceMs });
      isWaiting = true;
    }
    await clock.sleep(RETRY_MS, signal);
  }
}

async function bringAll(options: Parameters<typeof requireObjects>[0], moved: () => void): Promise<void> {
  const { from, watch, wanted } = options;
  if (watch.foreign !== null) throw watch.foreign;
  const format = await readFormatBytes(from);
  if (format !== null) await admitPlace(from, watched(watch), format);
  moved();
  for (const item of wanted) {
    const names = item.endsWith('/') ? listLacking(options, item) : [item];
    await inLanes(LANES, names, async (name) => {
      options.signal?.throwIfAborted();
      const { outcome, bytes } = await bringOne(options, name);
      if (outcome === 'differs') throw copyDiffers(watch, name);
      moved();
      if (outcome === 'copied') options.onObject?.({ place: watch.place.name, name, bytes });
    });
  }
}

/** Who of the two failed is known by who was asked: what the primary throws passes the copy's watch by. */
async function bringOne({ from, watch }: Parameters<typeof requireObjects>[0], name: string) {
  const to = watchedStore(watch);
  return transferObject({ name, from, to });
}

/**
 * Names that the copy lacks. That it lists one proves nothing: a listing may be old, and the object gone since. So each is asked for by its name,
 * which an old listing does not answer.
 */
async function* listLacking({ from, watch }: Parameters<typeof requireObjects>[0], prefix: string) {
  const to = watchedStore(watch);
  const ask = async ({ name, entries: [source, listed] }: MergedEntry): Promise<string | null> => {
    if (source === null || source === undefined) return null;
    const held = listed === null || listed === undefined ? null : await to.stat(name);
    if (held === null) return name;
    if (held.size !== source.size) throw copyDiffers(watch, name);
    return null;
  };
  for await (const name of mapAhead(comparePlaces(from, to, prefix), { atOnceMax: ASKED_AT_ONCE }, ask)) {
    if (name !== null) yield name;
  }
}

/** Waiting does not mend a missing right, and a sync that failed is never repeated. */
function isHopeless(error: HoldfastError): boolean {
  return error.code === 'STORE_DENIED' || error.code === 'STORE_SYNC_FAILED';
}

function copyAway(watch: PlaceWatch, cause: HoldfastError): HoldfastError {
  const { name, store } = watch.place;
  return new HoldfastError('REPOSITORY_COPY_AWAY', `could not bring everything to the required copy "${name}"`, {
    detail: `Expected ${store.description} to take it, found: ${cause.message}.`,
    hints: [
      ...cause.hints,
      'Run `holdfast copies status` to see which places answer.',
      'What was stored is kept, and the next try goes on from there.',
    ],
    retryable: true,
    cause,
  });
}

function copyDiffers(watch: PlaceWatch, name: string): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_COPY_DIFFERS',
    `cannot count on copy "${watch.place.name}": object "${name}" differs there`,
    {
      detail: 'Expected the same bytes as in the primary, found others. They were left alone.',
      hints: [
        'Run `holdfast copies compare --deep` to see which of the two is damaged, then `holdfast repository heal`.',
      ],
    },
  );
}
