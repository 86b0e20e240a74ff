import { BLOCK_BYTES, PageChecker, type PageRun, pageChecksum, parsePageHeader } from '../../../postgres/page/index.ts';
import type { OpenedFile } from './opened-file.ts';
import type { ReadFinding, ReadWorkerData } from './read-messages.ts';

/** Before a page that fails is read again, so long in turn: whoever was writing it has finished by then, or died. */
const AGAIN_AFTER_MS = [1, 10, 90];
/** In a file with more wrong pages than these the others are read again without waiting: a broken disk must not take hours. */
const PATIENT_PAGES_MAX = 5;

/** Pages of one file that lie in a slab. */
interface PlacedPages {
  /** Byte of the shared memory. */
  readonly at: number;
  readonly bytes: Buffer;
  /** In the file. */
  readonly position: number;
}

/** Looks at the pages that a reader has read, and reads again those that are wrong. */
export class PageInspector {
  readonly #checker: PageChecker;
  readonly #checkedBefore: bigint;
  readonly #blocksPerSegment: number;
  readonly #pause: (ms: number) => void;
  #wrong = { file: -1, pages: 0 };

  /** `pause` stops the thread for a while. */
  constructor(data: ReadWorkerData, pause: (ms: number) => void) {
    this.#checker = new PageChecker(data.memory);
    this.#checkedBefore = data.checkedBefore;
    this.#blocksPerSegment = data.blocksPerSegment;
    this.#pause = pause;
  }

  /**
   * Adds to `findings` each page whose checksum is wrong and stays so, and each that is newer than `flushedLsn`. A page that changes while it is looked
   * at is being written: it is kept as it was read last, and WAL has it whole.
   */
  inspect(file: OpenedFile, pages: PlacedPages, flushedLsn: bigint, findings: ReadFinding[]): void {
    const count = pages.bytes.length / BLOCK_BYTES;
    const firstBlock = pages.position / BLOCK_BYTES;
    const inRelation = file.segment! * this.#blocksPerSegment + firstBlock;
    let [done, highestLsn] = [0, 0n];
    while (done < count) {
      const run = { at: pages.at + done * BLOCK_BYTES, count: count - done, block: inRelation + done };
      const found = this.#checker.check(run, this.#checkedBefore);
      if (found.highestLsn > highestLsn) highestLsn = found.highestLsn;
      done += found.sound;
      if (done === count) break;
      const page = pages.bytes.subarray(done * BLOCK_BYTES, (done + 1) * BLOCK_BYTES);
      const place = { at: pages.at + done * BLOCK_BYTES, count: 1, block: inRelation + done };
      if (this.#staysWrong(file, page, { ...place, position: pages.position + done * BLOCK_BYTES })) {
        const [computed, stored] = [pageChecksum(page, inRelation + done), parsePageHeader(page).checksum];
        findings.push({ kind: 'checksum', file: file.number, block: firstBlock + done, computed, stored });
      }
      done += 1;
    }
    if (highestLsn > flushedLsn) this.#noteAhead(file, pages, flushedLsn, findings);
  }

  /** Reads the page again, into its place, until it is right, or new enough that WAL has it; gives whether it is wrong and stays the same. */
  #staysWrong(file: OpenedFile, page: Buffer, run: PageRun & { position: number }): boolean {
    const before = Buffer.alloc(BLOCK_BYTES);
    const isPatient = this.#wrongPages(file) <= PATIENT_PAGES_MAX;
    for (const ms of AGAIN_AFTER_MS) {
      if (isPatient) this.#pause(ms);
      page.copy(before);
      const found = file.readAgain(page, run.position);
      // The file was cut meanwhile.
      if (found < page.length) page.fill(0, found);
      if (this.#checker.check(run, this.#checkedBefore).sound === run.count) return false;
    }
    return page.equals(before);
  }

  /** Counts this one too. */
  #wrongPages(file: OpenedFile): number {
    if (this.#wrong.file !== file.number) this.#wrong = { file: file.number, pages: 0 };
    this.#wrong.pages += 1;
    return this.#wrong.pages;
  }

  #noteAhead(file: OpenedFile, pages: PlacedPages, flushedLsn: bigint, findings: ReadFinding[]): void {
    for (let at = 0; at < pages.bytes.length; at += BLOCK_BYTES) {
      const { lsn, upper } = parsePageHeader(pages.bytes.subarray(at, at + BLOCK_BYTES));
      if (upper === 0 || lsn <= flushedLsn) continue;
      findings.push({ kind: 'ahead', file: file.number, block: (pages.position + at) / BLOCK_BYTES, lsn });
    }
  }
}
