import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { type Clock, HoldfastError } from '../../lib/index.ts';
import {
  formatLsn,
  identifySystem,
  type PostgresConnection,
  segmentNumberOf,
  segmentStartOf,
  startReplication,
  WalScanner,
} from '../../postgres/index.ts';
import { isWalDamage, readWalObject, replaceSegment, StoredWal, type WalInventory } from '../../protect/wal/index.ts';
import { newSpoolPath, type Repository } from '../../repository/index.ts';
import { listWalObjects, type PlacedWal } from '../scrub/index.ts';

export interface FetchOptions {
  readonly repository: Repository;
  readonly connection: PostgresConnection;
  readonly clock: Clock;
  /** What is stored, without what is lost. */
  readonly sound: WalInventory;
  readonly object: PlacedWal;
  readonly signal?: AbortSignal;
}

/**
 * Streams the WAL of a damaged object from the server again and stores it as fragments, once it is proved to be what was stored, as a copy of a
 * server has other WAL under the same names (rule A4). It has to go on from the sound WAL before it and into that behind it, record by record. That
 * alone proves little: two copies at the same work write records of the same lengths. So the server also has to have the very bytes that are stored
 * behind it or, when nothing is, before it.
 *
 * Gives why nothing was stored, one whole sentence, or `null`. Errors: those of the server and of the store.
 */
export async function fetchLostWal(options: FetchOptions): Promise<string | null> {
  const { repository, connection, object, sound } = options;
  const { system, header } = object.lineage;
  const identity = await identifySystem(connection);
  if (identity.systemId !== system) return `The server is another cluster (system ${identity.systemId}).`;
  const start = segmentStartOf(object.start, header.segmentBytes);
  const spoolPath = newSpoolPath(await repository.store.spoolDirectory());
  try {
    await using file = await open(spoolPath, 'wx+', 0o600);
    const around = await readAround(options, start);
    const from = around.behind.length > 0 ? start : start - BigInt(around.before.length);
    const end = await receive(options, file, from, object.end + BigInt(around.behind.length));
    if (end < object.end) return `The server's WAL of timeline ${object.timeline} ends at ${formatLsn(end)}.`;
    const received = (first: bigint, last: bigint) =>
      createReadStream(spoolPath, {
        start: Number(first - from),
        end: Number(last - from) - 1,
      }) as AsyncIterable<Buffer>;
    const pieces = () => received(start, object.end);
    const doubt = await whyNotProved({ repository, sound, object, start, pieces, around });
    if (doubt !== null) return doubt;
    if (around.behind.length > 0) {
      if (end === object.end)
        return 'The server has no WAL behind it by which it could be told from another copy of the cluster.';
      if (!(await isBeginningOf(around.behind, received(object.end, end)))) return otherWal('behind it');
    } else if (from < start && !(await isBeginningOf(around.before, received(from, start))))
      return otherWal('before it');
    await replaceSegment(repository, { place: object.lineage, timeline: object.timeline, start, pieces: pieces() });
    return null;
  } finally {
    await rm(spoolPath, { force: true });
  }
}

/** Sound WAL beside an object: the whole segment before it, and what is stored from its end on, up to the length of a segment. */
interface Neighbours {
  readonly before: Buffer;
  readonly behind: Buffer;
}

async function readAround({ repository, sound, object }: FetchOptions, start: bigint): Promise<Neighbours> {
  const lineage = sound.lineages.find((each) => each.lineage === object.lineage.lineage);
  if (lineage === undefined) return { before: Buffer.alloc(0), behind: Buffer.alloc(0) };
  const size = BigInt(lineage.header.segmentBytes);
  const stored = new StoredWal(repository, lineage, [{ timeline: object.timeline, from: 0n, to: null }]);
  const before = start >= size ? await gather(stored, start - size, start) : Buffer.alloc(0);
  return {
    before: BigInt(before.length) === size ? before : Buffer.alloc(0),
    behind: await gather(stored, object.end, object.end + size),
  };
}

/** Whether the bytes that came, of which there may be fewer, are those that are stored. */
async function isBeginningOf(stored: Buffer, came: AsyncIterable<Buffer>): Promise<boolean> {
  let at = 0;
  for await (const piece of came) {
    if (!piece.equals(stored.subarray(at, at + piece.length))) return false;
    at += piece.length;
  }
  return true;
}

function otherWal(where: string): string {
  return `The server has other WAL ${where} than is stored: it is another copy of the cluster.`;
}

/** Writes WAL from `start` on into the file; gives the position up to which it came. */
async function receive(options: FetchOptions, file: FileHandle, start: bigint, end: bigint): Promise<bigint> {
  const { connection, object, clock, signal } = options;
  let at = start;
  const finished = Promise.withResolvers<void>();
  const stop = () => finished.resolve();
  signal?.addEventListener('abort', stop, { once: true });
  const stream = await startReplication(connection, {
    startLsn: start,
    timeline: object.timeline,
    clock,
    onWal: async ({ startLsn, data }) => {
      if (at >= end || startLsn !== at) return finished.resolve();
      const wanted = data.subarray(0, Number(end - at));
      await file.write(wanted, 0, wanted.length, Number(at - start));
      at += BigInt(wanted.length);
      if (at >= end) finished.resolve();
    },
    // The server has no more on this timeline: what it has not sent by now does not come.
    onKeepalive: ({ serverEndLsn }) => {
      if (serverEndLsn <= at) finished.resolve();
    },
  });
  try {
    await Promise.race([finished.promise, stream.ended]);
    await stream.stop();
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  signal?.throwIfAborted();
  return at;
}

/** Why the bytes may be another server's: no sound WAL beside them to go on with, or one that does not fit. */
async function whyNotProved(question: {
  repository: Repository;
  sound: WalInventory;
  object: PlacedWal;
  start: bigint;
  pieces: () => AsyncIterable<Buffer>;
  around: Neighbours;
}): Promise<string | null> {
  const { sound, object, start, pieces, around } = question;
  const { segmentBytes } = object.lineage.header;
  const lineage = sound.lineages.find((each) => each.lineage === object.lineage.lineage);
  if (lineage === undefined) return 'Its lineage is not there any more.';
  const { before, behind } = around;
  const hasBefore = before.length > 0;
  const scanner = new WalScanner({
    segmentSize: segmentBytes,
    startLsn: start - BigInt(before.length),
    systemId: lineage.system,
  });
  const scan = (bytes: Buffer): string | null => {
    scanner.push(bytes);
    while (scanner.next() !== null) {
      // That the scanner accepts the record is all that is asked.
    }
    const { stopped } = scanner;
    return stopped === null
      ? null
      : `The server's WAL is not what was stored: at ${formatLsn(stopped.lsn)}, ${stopped.detail}`;
  };
  let doubt = hasBefore ? scan(before) : null;
  for await (const piece of pieces()) doubt ??= scan(piece);
  if (doubt === null && behind.length > 0) doubt = scan(behind);
  if (doubt !== null) return doubt;
  const agrees = await comparedBytes(question, lineage.header.segmentBytes);
  if (agrees === 'differs') return 'The server has other WAL there than the part of it that is stored and sound.';
  if (hasBefore || behind.length > 0 || agrees === 'equal') return null;
  return 'No sound WAL beside it is there by which it could be proved that the server has the same.';
}

/** Sound fragments of the same segment have to be equal. */
async function comparedBytes(
  question: {
    repository: Repository;
    sound: WalInventory;
    object: PlacedWal;
    start: bigint;
    pieces: () => AsyncIterable<Buffer>;
  },
  segmentBytes: number,
): Promise<'equal' | 'differs' | 'nothing'> {
  const { repository, sound, object, start, pieces } = question;
  let result: 'equal' | 'nothing' = 'nothing';
  for (const other of listWalObjects(sound)) {
    const isSame = other.lineage.lineage === object.lineage.lineage && other.timeline === object.timeline;
    if (!isSame || segmentNumberOf(other.start, segmentBytes) !== segmentNumberOf(start, segmentBytes)) continue;
    const own = await readPart(pieces(), Number(other.start - start), Number(other.end - start));
    const bytes: Buffer[] = [];
    for await (const piece of readWalObject(repository, other)) bytes.push(Buffer.from(piece));
    if (own.length === 0) continue;
    if (!own.equals(Buffer.concat(bytes).subarray(0, own.length))) return 'differs';
    result = 'equal';
  }
  return result;
}

async function readPart(pieces: AsyncIterable<Buffer>, from: number, to: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let at = 0;
  for await (const piece of pieces) {
    parts.push(piece.subarray(Math.max(0, from - at), Math.max(0, to - at)));
    at += piece.length;
  }
  return Buffer.concat(parts);
}

/** As much as is there; what turns out damaged proves nothing. */
async function gather(stored: StoredWal, from: bigint, to: bigint): Promise<Buffer> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of stored.read(from, to)) pieces.push(Buffer.from(piece));
  } catch (error) {
    if (!(error instanceof HoldfastError) || !isWalDamage(error)) throw error;
  }
  return Buffer.concat(pieces);
}
