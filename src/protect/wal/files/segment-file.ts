import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { HoldfastError, messageOf } from '../../../lib/index.ts';
import {
  checkSegmentSize,
  formatLsn,
  parseSegmentName,
  parseWalPageHeader,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER_LONG_BYTES,
  type WalPageHeader,
  walMajorOf,
} from '../../../postgres/index.ts';

/** Files up to PostgreSQL's own segment size are read once and kept; larger ones are read again for each use. */
const MEMORY_BYTES_MAX = 16 * 1024 * 1024;

const PIECE_BYTES = 1024 * 1024;

/** A file that its first page proves to be the segment of its name, as far as one page can. */
export interface SegmentFile {
  readonly name: string;
  /** By the name. The first page may be of an older one: the segment in which a timeline begins has its parent's bytes before the switch. */
  readonly timeline: number;
  readonly number: bigint;
  readonly segmentBytes: number;
  /** The system identifier, decimal. */
  readonly system: string;
  readonly start: bigint;
  /** The end of the segment, not of the valid WAL in it. */
  readonly end: bigint;
  /** All its bytes or the first `length`, in pieces, the same each time. Errors: WAL_FILE_UNREADABLE when the file changed meanwhile. */
  read(length?: number): AsyncIterable<Buffer>;
  /** SHA-256 of the whole file, hexadecimal. */
  sha256(): Promise<string>;
}

/**
 * Opens a file as the WAL segment that `name` says.
 *
 * Errors: WAL_FILE_UNREADABLE; WAL_FILE_FOREIGN when its length or its first page is not that of the segment; PG_WAL_NAME_INVALID.
 */
export async function openSegmentFile(path: string, name: string): Promise<SegmentFile> {
  const { size, head } = await readHead(path);
  return describeSegment(name, size, head, makeReader(path, size));
}

/** The same for a segment whose bytes are all here. Errors: as `openSegmentFile`. */
export function describeSegmentBytes(name: string, bytes: Buffer): SegmentFile {
  const reader = { read: (length: number) => piecesOf(bytes, length) };
  return describeSegment(name, bytes.length, bytes.subarray(0, WAL_PAGE_HEADER_LONG_BYTES), reader);
}

/** The same for a segment that lies elsewhere, such as in a spool. `read` gives the first `length` bytes. Errors: as `openSegmentFile`. */
export function describeSegment(
  name: string,
  size: number,
  head: Buffer,
  reader: { read(length: number): AsyncIterable<Buffer> },
): SegmentFile {
  checkSize(name, size);
  const { timeline, number, startLsn: start } = parseSegmentName(name, size);
  const why =
    head.length < WAL_PAGE_HEADER_LONG_BYTES ? 'It has no page.' : whyNotFirstPage(head, { size, timeline, start });
  if (why !== null) throw foreignFile(name, why);
  const system = parseWalPageHeader(head).segment!.systemId;
  const read = (length = size) => reader.read(length);
  let hashed: Promise<string> | null = null;
  const sha256 = () => {
    hashed ??= hashOf(read());
    return hashed;
  };
  return { name, timeline, number, segmentBytes: size, system, start, end: start + BigInt(size), read, sha256 };
}

export async function hashOf(pieces: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

function whyNotFirstPage(head: Buffer, expected: { size: number; timeline: number; start: bigint }): string | null {
  const page: WalPageHeader = parseWalPageHeader(head);
  if (walMajorOf(page.magic) === undefined) {
    return `Expected the magic number of WAL of PostgreSQL 14 to 18, found 0x${page.magic.toString(16).toUpperCase()}.`;
  }
  if (page.segment === null)
    return 'Expected the long form of a page header where a segment begins, found the short one.';
  if (page.lsn !== expected.start) {
    return `Expected the page of ${formatLsn(expected.start)}, found that of ${formatLsn(page.lsn)}: a file that was renamed for later use.`;
  }
  if (page.timeline > expected.timeline || page.timeline === 0) {
    return `Expected WAL of timeline ${expected.timeline} or of one before it, found that of timeline ${page.timeline}.`;
  }
  if (page.segment.segmentSize !== expected.size) {
    return `Expected ${page.segment.segmentSize} bytes, as its first page says, found ${expected.size}.`;
  }
  if (page.segment.walBlockSize !== WAL_PAGE_BYTES) {
    return `Expected pages of ${WAL_PAGE_BYTES} bytes, found pages of ${page.segment.walBlockSize}.`;
  }
  return null;
}

function checkSize(name: string, size: number): void {
  try {
    checkSegmentSize(size);
  } catch {
    throw foreignFile(name, `Expected a file as long as a segment can be, found ${size} bytes.`);
  }
}

async function readHead(path: string): Promise<{ size: number; head: Buffer }> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const head = Buffer.alloc(WAL_PAGE_HEADER_LONG_BYTES);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return { size, head: head.subarray(0, bytesRead) };
  } catch (error) {
    throw unreadable(path, `The system said: ${messageOf(error)}.`, error);
  }
}

function makeReader(path: string, size: number): { read(length: number): AsyncIterable<Buffer> } {
  if (size > MEMORY_BYTES_MAX) return { read: (length) => readPieces(path, size, length) };
  let bytes: Promise<Buffer> | null = null;
  return {
    async *read(length) {
      bytes ??= readAll(path, size);
      yield* piecesOf(await bytes, length);
    },
  };
}

async function readAll(path: string, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for await (const piece of readPieces(path, size, size)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function* readPieces(path: string, size: number, length: number): AsyncGenerator<Buffer, void> {
  await using file = await openToRead(path);
  for (let at = 0; at < length; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at).catch((error: unknown) => {
      throw unreadable(path, `The system said: ${messageOf(error)}.`, error);
    });
    if (bytesRead === 0)
      throw unreadable(path, `Expected ${size} bytes, found its end at ${at}: it changed meanwhile.`);
    at += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw unreadable(path, `The system said: ${messageOf(error)}.`, error);
  }
}

async function* piecesOf(bytes: Buffer, length: number): AsyncGenerator<Buffer, void> {
  for (let at = 0; at < length; at += PIECE_BYTES) yield bytes.subarray(at, Math.min(length, at + PIECE_BYTES));
}

export function unreadable(path: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('WAL_FILE_UNREADABLE', `could not read "${path}"`, {
    detail,
    hints: ['Check the path, and that the user who runs this may read the data directory of the server.'],
    ...(cause === undefined ? {} : { cause }),
  });
}

export function foreignFile(name: string, detail: string): HoldfastError {
  return new HoldfastError('WAL_FILE_FOREIGN', `cannot keep "${name}": it is not the WAL that its name says`, {
    detail,
    hints: ['Check whose file it is. Nothing of it was stored.'],
  });
}
