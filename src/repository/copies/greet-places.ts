import { type Clock, codeOf, HoldfastError } from '../../lib/index.ts';
import { readFormatHead } from '../format/index.ts';
import { identifyPlace, readFormatBytes } from './identity.ts';
import { isPlaceTrouble, type PlaceWatch } from './place-watch.ts';

/** Once one place has answered, the others have so long to do so before reading begins without them. */
const LATE_MS_MAX = 2_000;

/**
 * Asks every place for `format`, all at once: how far it is, and whether it is of the same repository. Places that are late are judged when
 * they answer. Never throws: what is wrong with a place is known by its watch afterwards.
 */
export async function greetPlaces(watches: readonly PlaceWatch[], clock: Clock): Promise<void> {
  const formats = new Map<PlaceWatch, Buffer>();
  const asked = watches.map(async (watch) => {
    const bytes = await ask(watch);
    if (bytes !== null) formats.set(watch, bytes);
  });
  const all = Promise.all(asked);
  const stop = new AbortController();
  const late = Promise.race(asked).then(() => clock.sleep(LATE_MS_MAX, stop.signal));
  await Promise.race([all, late]);
  stop.abort();
  await judge(watches, formats);
  // Whoever answers later is judged then; until then its objects prove themselves.
  void all.then(() => judge(watches, formats));
}

async function ask(watch: PlaceWatch): Promise<Buffer | null> {
  try {
    return await watch.use(() => readFormatBytes(watch.place.store), { isSmall: true });
  } catch (error) {
    if (isPlaceTrouble(error)) return null;
    throw error;
  }
}

async function judge(watches: readonly PlaceWatch[], formats: ReadonlyMap<PlaceWatch, Buffer>): Promise<void> {
  const known = watches.filter((watch) => formats.has(watch) && watch.foreign === null);
  const [first] = known;
  if (first === undefined || known.every((watch) => formats.get(watch)!.equals(formats.get(first)!))) return;
  const reference = await findReference(known, formats);
  if (reference === null) return;
  for (const watch of known) {
    try {
      await identifyPlace(watch.place, reference);
    } catch (error) {
      if (codeOf(error) === 'REPOSITORY_COPY_FOREIGN' && error instanceof HoldfastError) watch.markForeign(error);
      else if (!isPlaceTrouble(error)) throw error;
    }
  }
}

/** The first `format`, from the primary on, that is one and that the objects beside it do not contradict. */
async function findReference(
  watches: readonly PlaceWatch[],
  formats: ReadonlyMap<PlaceWatch, Buffer>,
): Promise<Buffer | null> {
  for (const watch of watches) {
    const format = formats.get(watch)!;
    if (readFormatHead(format).state !== 'ours') continue;
    try {
      if ((await identifyPlace(watch.place, format, { trustFormat: false })) === 'same') return format;
    } catch (error) {
      if (codeOf(error) !== 'REPOSITORY_COPY_FOREIGN' && !isPlaceTrouble(error)) throw error;
    }
  }
  return null;
}
