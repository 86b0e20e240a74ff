import type { Clock } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import { serverPathOf } from '../tree-paths.ts';
import type { NumberedFile } from './file-readers.ts';
import type { ReadFinding } from './read-messages.ts';

/** So many pages of a file are told one by one, as the server does. */
const TOLD_PER_FILE_MAX = 5;
/** A disk that dies damages file after file; what lies beyond is counted. */
const TOLD_MAX = 1000;
/** A standby may have written a page a moment before it says so; it is asked again after this. */
const ASK_AGAIN_MS = 100;
const ASKS_MAX = 3;

type AheadPage = ReadFinding & { kind: 'ahead' };

/**
 * What was found in pages, in the words in which the server tells of it. Pages that are newer than the WAL was when their slab was handed out are held
 * against where the WAL is *after* they were read: nothing reaches a data file before its WAL is durable.
 */
export class PageFindings {
  readonly #askFlushed: () => Promise<bigint>;
  readonly #clock: Clock;
  readonly #told: string[] = [];
  readonly #perFile = new Map<string, number>();
  #left = 0;
  #flushedLsn: bigint;
  #waiting: { file: string; page: AheadPage }[] = [];
  #judging: Promise<void> | null = null;

  /** `askFlushed` asks the server how far its WAL is durable; `flushedLsn` is what it said last. */
  constructor(options: { askFlushed: () => Promise<bigint>; clock: Clock; flushedLsn: bigint }) {
    this.#askFlushed = options.askFlushed;
    this.#clock = options.clock;
    this.#flushedLsn = options.flushedLsn;
  }

  /** As far as it is known by now. */
  get flushedLsn(): bigint {
    return this.#flushedLsn;
  }

  note(findings: readonly ReadFinding[], files: ReadonlyMap<number, NumberedFile>): void {
    for (const finding of findings) {
      const file = nameOf(files.get(finding.file)!.path);
      if (finding.kind === 'ahead') this.#waiting.push({ file, page: finding });
      else this.#tell(file, wrongChecksum(file, finding));
    }
    if (this.#waiting.length === 0 || this.#judging !== null) return;
    this.#judging = this.#judge().finally(() => {
      this.#judging = null;
    });
    // `finish` asks once more and sees what is wrong.
    this.#judging.catch(() => {});
  }

  /** Once all is read. One text for each finding, none when all pages are sound. Errors: those of the session. */
  async finish(): Promise<readonly string[]> {
    while (this.#waiting.length > 0 || this.#judging !== null) await (this.#judging ?? this.#judge());
    const more = [...this.#perFile].filter(([, count]) => count > TOLD_PER_FILE_MAX);
    for (const [file, count] of more) this.#told.push(`file "${file}" has a total of ${count} damaged pages`);
    if (this.#left > 0) this.#told.push(`and ${this.#left} more damaged pages`);
    return this.#told;
  }

  async #judge(): Promise<void> {
    let pages = this.#waiting;
    this.#waiting = [];
    try {
      for (let ask = 0; ask < ASKS_MAX && pages.length > 0; ask++) {
        if (ask > 0) await this.#clock.sleep(ASK_AGAIN_MS);
        this.#flushedLsn = await this.#askFlushed();
        pages = pages.filter(({ page }) => page.lsn > this.#flushedLsn);
      }
    } catch (error) {
      // Nothing is known of them yet: whoever asks next judges them.
      this.#waiting.unshift(...pages);
      throw error;
    }
    for (const { file, page } of pages) this.#tell(file, aheadOfWal(file, page, this.#flushedLsn));
  }

  #tell(file: string, text: string): void {
    const count = (this.#perFile.get(file) ?? 0) + 1;
    if (this.#told.length >= TOLD_MAX) {
      this.#left += 1;
      return;
    }
    this.#perFile.set(file, count);
    if (count <= TOLD_PER_FILE_MAX) this.#told.push(text);
  }
}

function wrongChecksum(file: string, { block, computed, stored }: ReadFinding & { kind: 'checksum' }): string {
  const hex = (value: number) => value.toString(16).toUpperCase();
  return `checksum verification failed in file "${file}", block ${block}: calculated ${hex(computed)} but expected ${hex(stored)}`;
}

function aheadOfWal(file: string, { block, lsn }: AheadPage, flushed: bigint): string {
  return `page is newer than all WAL in file "${file}", block ${block}: its LSN is ${formatLsn(lsn)}, and WAL was written up to ${formatLsn(flushed)}`;
}

/** As the server names the file when it tells of a page, relative to its data directory. */
function nameOf(path: string): string {
  return `./${serverPathOf(path) ?? path}`;
}
