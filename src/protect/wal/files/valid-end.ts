import { WalScanner, type WalStop } from '../../../postgres/index.ts';
import type { SegmentFile } from './segment-file.ts';

/** How far a file holds valid WAL. */
export interface ValidPart {
  /** Behind the last whole record; the start of the file when there is none. */
  readonly end: bigint;
  /** Why it ends there; `null` when the file is sound to its end. */
  readonly stop: WalStop | null;
}

/**
 * Reads a file as a recovery would, and finds where its valid WAL ends: behind it stands what an earlier use of the file left, or a record that
 * never became whole.
 *
 * `before` is the WAL of the segment before, when it is at hand: then a record that reaches over the border is checked, too.
 */
export async function findValidEnd(file: SegmentFile, before: AsyncIterable<Buffer> | null): Promise<ValidPart> {
  const startLsn = before === null ? file.start : file.start - BigInt(file.segmentBytes);
  const scanner = new WalScanner({ segmentSize: file.segmentBytes, startLsn, systemId: file.system });
  for (const pieces of before === null ? [file.read()] : [before, file.read()]) {
    for await (const piece of pieces) {
      scanner.push(piece);
      while (scanner.next() !== null) {
        // Where the last one ends is all that is asked.
      }
      if (scanner.stopped !== null) return { end: maxLsn(scanner.validEndLsn, file.start), stop: scanner.stopped };
    }
  }
  return { end: file.end, stop: null };
}

/**
 * Where the bytes of the last whole record of a sound file end. What stands behind it no checksum in the file holds: zeros where the server left
 * the segment early, else the beginning of a record that goes on in the next one.
 */
export async function findRecordsEnd(file: SegmentFile): Promise<bigint> {
  const scanner = new WalScanner({ segmentSize: file.segmentBytes, startLsn: file.start, systemId: file.system });
  let { start: end } = file;
  for await (const piece of file.read()) {
    scanner.push(piece);
    for (let record = scanner.next(); record !== null; record = scanner.next()) end = record.lsn + BigInt(record.span);
  }
  return end;
}

function maxLsn(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
