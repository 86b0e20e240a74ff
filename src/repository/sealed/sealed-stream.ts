import { type FileHandle, open, rm } from 'node:fs/promises';
import { GarbageGauge, giveBack, mapAhead } from '../../lib/index.ts';
import { BodyOpener, BodySealer, type ObjectKind, PIECE_BYTES_MAX } from '../codec/index.ts';
import {
  isDamageOfOnePlace,
  newSpoolPath,
  type ObjectStore,
  objectAbsent,
  type PutOutcome,
  readProved,
  storeErrorOf,
} from '../object-store/index.ts';
import type { SealedObjects } from './sealed-objects.ts';

/** Bytes asked of the store at once: a few pieces, so that one request serves many and memory stays small. */
export const READ_BYTES = 4 << 20;
/** Requests under way while one is waited for: with a line of 50 ms, more than 100 MB/s for one reader. */
export const READS_AHEAD = { atOnceMax: 2 };

/** The pieces of one WAL segment that their reader kept: what zlib made is held by its native part until all is collected. */
const garbage = new GarbageGauge({ bytesMax: 16 << 20, type: 'major' });

/** A body for one name, too large to be held in memory. */
export interface BodyStream {
  kind: ObjectKind;
  name: string;
  /** Stored bytes, when a listing has told them: an object never changes, so that nobody need be asked again. */
  size?: number;
}

/** What became of a body that was put, and how many bytes it has when it is sealed, be they stored or not. */
export interface StreamPut {
  readonly outcome: PutOutcome;
  readonly size: number;
}

/**
 * Seals a body as it comes and stores it, once; it goes through a spool file, and memory holds a few pieces of 1 MiB.
 *
 * Errors: as `putBody`, and whatever the source throws, after which nothing was stored.
 */
export async function putBodyStream(
  objects: SealedObjects,
  place: BodyStream,
  source: AsyncIterable<Uint8Array>,
): Promise<StreamPut> {
  objects.assertWritable();
  const spoolPath = newSpoolPath(await objects.store.spoolDirectory());
  let size: number;
  try {
    size = await writeSealed(objects, place, source, spoolPath);
  } catch (error) {
    await rm(spoolPath, { force: true });
    throw storeErrorOf(error, `write object "${place.name}"`);
  }
  return { outcome: await objects.store.putFileIfAbsent(place.name, spoolPath), size };
}

/**
 * A body in pieces of at most 1 MiB, each proved before it is handed out.
 *
 * The end is proved, too, before the iteration ends: who stops early, or sees it throw, has not seen the whole body.
 * Errors: as `getBody`.
 */
export async function* getBodyStream(objects: SealedObjects, place: BodyStream): AsyncGenerator<Buffer, void> {
  let given = 0;
  try {
    for await (const piece of streamFrom(objects, objects.store, place)) {
      given += 1;
      yield piece;
    }
  } catch (error) {
    if (objects.store.readProved === undefined || !isDamageOfOnePlace(error)) throw error;
    yield* streamFromSoundPlace(objects, place, given);
  }
}

/** The rest of a body of which the first pieces were handed out, from a place that has all of it whole: there it is read through once before. */
async function* streamFromSoundPlace(
  objects: SealedObjects,
  { kind, name }: BodyStream,
  given: number,
): AsyncGenerator<Buffer, void> {
  const sound = await readProved(objects.store, name, async (from) => {
    for await (const _ of streamFrom(objects, from, { kind, name }));
    return from;
  });
  let seen = 0;
  for await (const piece of streamFrom(objects, sound, { kind, name })) if (++seen > given) yield piece;
}

async function* streamFrom(
  objects: SealedObjects,
  store: ObjectStore,
  place: BodyStream,
): AsyncGenerator<Buffer, void> {
  const size = place.size ?? (await askSize(store, place.name));
  const opener = new BodyOpener(objects.keys, place);
  const read = ({ at, length }: { at: number; length: number }) => store.getRange(place.name, at, length);
  for await (const bytes of mapAhead(rangesOf(size), READS_AHEAD, read)) {
    for (const piece of opener.push(bytes)) {
      yield piece;
      // Nothing is left of a piece that its reader gave back (`giveBack`).
      garbage.add(piece.length);
    }
  }
  yield opener.finish();
}

/** The parts of an object of `size` bytes that are asked of the store one by one. */
export function* rangesOf(size: number): Generator<{ at: number; length: number }, void> {
  for (let at = 0; at < size; at += READ_BYTES) yield { at, length: Math.min(READ_BYTES, size - at) };
}

async function askSize(store: ObjectStore, name: string): Promise<number> {
  const stat = await store.stat(name);
  if (stat !== null) return stat.size;
  throw objectAbsent(name, store.description);
}

async function writeSealed(
  objects: SealedObjects,
  place: BodyStream,
  source: AsyncIterable<Uint8Array>,
  spoolPath: string,
): Promise<number> {
  await using file = await open(spoolPath, 'wx');
  const sealer = new BodySealer(objects.keys, place);
  await file.writeFile(sealer.header);
  // A piece is sealed when the next one has begun, as the last one is sealed as the last.
  const waiting = Buffer.alloc(PIECE_BYTES_MAX);
  let filled = 0;
  for await (const bytes of source) {
    for (let rest = bytes; rest.length > 0; ) {
      if (filled === PIECE_BYTES_MAX) {
        await writeAll(file, sealer.seal(waiting, false));
        filled = 0;
      }
      const taken = rest.subarray(0, PIECE_BYTES_MAX - filled);
      waiting.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
    }
  }
  await writeAll(file, sealer.seal(waiting.subarray(0, filled), true));
  return (await file.stat()).size;
}

/** Gives the memory of what is written back at once: a segment would leave sixteen pieces of it to be collected. */
async function writeAll(file: FileHandle, parts: readonly Buffer[]): Promise<void> {
  for (const part of parts) {
    // The system may take fewer bytes than it is given at once, which this looks after.
    await file.writeFile(part);
    giveBack(part);
  }
}
