import { HoldfastError } from '../../../lib/index.ts';
import { parseBackupLabel, readControlFile, readControlFileBytes } from '../../../postgres/index.ts';
import { type IngestSlab, RateLimit } from '../../../repository/index.ts';
import type { CollectedFile } from '../collected-file.ts';
import { FindingList } from '../cross-check/index.ts';
import {
  FileReaders,
  type FilesView,
  type FilledSlab,
  type ListedTablespace,
  listFiles,
  listTablespaces,
  MTIME_UNIT_MS,
  type NumberedFile,
  PageFindings,
  proveTablespace,
  type ReadStep,
  sessionLost,
} from '../direct/index.ts';
import type { FileAssembler } from '../file-assembler.ts';
import { CONTROL_PATH, KeptFiles, LABEL_PATH } from '../kept-files.ts';
import type { PreviousFiles } from '../previous/index.ts';
import { isPagedFile, relationFileOf } from '../relation-file.ts';
import { serverPathOf } from '../tree-paths.ts';
import { timelineChanged } from './check-consistency.ts';
import { keepConfiguration } from './keep-configuration.ts';
import type { DirectAccess } from './open-direct.ts';
import { beginAssembling, type ReceivedFiles, type ReceiveOptions } from './receive-files.ts';
import { standbyErrorOf } from './standby-error.ts';
import { tellOfCheckpoint } from './tell-of-checkpoint.ts';

const TABLESPACE_MAP_PATH = 'data/tablespace_map';
/** The server makes files with this mode where it does not let its group in. */
const FILE_MODE = 0o600;
/** A reader keeps so many workers busy, from the page cache and from most disks. */
const WORKERS_PER_READER = 2;
/** So many files that cannot be checked are named. */
const UNCHECKED_NAMED_MAX = 5;
/** `--max-rate` counts in units of 1,024 bytes. */
const RATE_UNIT_BYTES = 1024;

type ReadDirectlyOptions = ReceiveOptions & {
  direct: DirectAccess;
  /** The files of an older backup, over whose maps these are written; null when there is none. */
  previous: PreviousFiles | null;
  workers: number;
};

/**
 * Reads the files of a server on this machine from its disk, between `pg_backup_start` and `pg_backup_stop`, and gives what `receiveFiles` gives. The
 * rules are in `docs/direct.md`.
 *
 * Errors: those of `DirectSession`, `listFiles` and `FileReaders`; BACKUP_DIRECT_SESSION_LOST; those of a standby.
 */
export async function readDirectly(options: ReadDirectlyOptions): Promise<ReceivedFiles> {
  const { server, connection, direct, signal } = options;
  const read = new DirectRead(options);
  try {
    return await Promise.race([read.run(), read.lost()]);
  } catch (error) {
    // Whoever stopped the run has ended the session too.
    signal?.throwIfAborted();
    if (!direct.session.isOpen) throw sessionLost(error);
    throw server.isStandby ? await standbyErrorOf(error, connection) : error;
  } finally {
    await read.end();
    // Whether it was stopped or not: without its session the server leaves backup mode by itself.
    await direct[Symbol.asyncDispose]();
  }
}

class DirectRead {
  readonly #options: ReadDirectlyOptions;
  readonly #assembler: FileAssembler;
  readonly #kept = new KeptFiles();
  readonly #open = new Map<number, { pieces: CollectedFile; row: number; size: number; keeping: Buffer[] | null }>();
  readonly #readers = new AsyncDisposableStack();
  /** Files of relations that are not made of whole pages. */
  readonly #unchecked = new FindingList<string>(UNCHECKED_NAMED_MAX);
  #specialFiles = 0;
  #bytes = 0;
  #isOver = false;

  constructor(options: ReadDirectlyOptions) {
    this.#options = options;
    this.#assembler = beginAssembling(options.stores);
  }

  async run(): Promise<ReceivedFiles> {
    const { label, checkpoint } = this.#options;
    const { session, dataDirectory } = this.#options.direct;
    // What is made after this is left to WAL, which has all of it.
    const before = await listTablespaces(dataDirectory);
    for (const tablespace of before) await proveTablespace(this.#view, { session, tablespace });
    await tellOfCheckpoint(this.#options);
    const startLsn = await session.start({ label: label ?? 'holdfast base backup', checkpoint });
    const tablespaces = await this.#stillThere(before);
    const findings = await this.#readFiles(startLsn, tablespaces);
    // Last, so that it is at least as new as every file: of a standby it says from where on all of them are consistent.
    const controlFile = await this.#readControlFile();
    const stopped = await session.stop();
    const { startTimeline } = parseBackupLabel(stopped.backupLabel);
    const endTimeline = await this.#endTimeline(startTimeline);
    await this.#keepFile(LABEL_PATH, Buffer.from(stopped.backupLabel, 'utf8'), FILE_MODE);
    await this.#keepFile(TABLESPACE_MAP_PATH, Buffer.from(stopped.tablespaceMap, 'utf8'), FILE_MODE);
    const received = this.#kept.configuration(this.#assembler.entries);
    const configuration = await keepConfiguration({ ...this.#options, assembler: this.#assembler, received });
    const stored = await this.#assembler.finish();
    this.#noteSpecialFiles();
    this.#noteUnchecked();
    return {
      start: { startLsn, timeline: startTimeline, tablespaces: startOf(tablespaces) },
      endLsn: stopped.endLsn,
      endTimeline,
      entries: this.#assembler.entries,
      stored,
      manifest: null,
      backupLabel: stopped.backupLabel,
      controlFile,
      configuration,
      bytes: this.#bytes,
      readBytes: this.#bytes,
      unchangedBytes: this.#assembler.collector.unchangedBytes,
      checksumFailures: findings,
    };
  }

  /** Never settled but by the end of the session before the read is over. */
  async lost(): Promise<never> {
    await this.#options.direct.session.closed;
    // The read itself tells what ended it, when it was not this.
    return this.#isOver ? new Promise<never>(() => {}) : Promise.reject(new Error('the session has ended'));
  }

  /** Ends the readers. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#readers.disposeAsync();
  }

  /** Where the files are, and how the directory of this version is called in a tablespace. */
  get #view(): FilesView & { versionDirectory: string } {
    const { root, dataDirectory, control } = this.#options.direct;
    return {
      root,
      dataDirectory,
      versionDirectory: `PG_${this.#options.server.version.major}_${control.catalogVersion}`,
    };
  }

  async #stillThere(before: readonly ListedTablespace[]): Promise<ListedTablespace[]> {
    const now = await listTablespaces(this.#options.direct.dataDirectory);
    return now.filter(({ oid, location }) => before.some((one) => one.oid === oid && one.location === location));
  }

  /** Reads all but `pg_control`; gives what was found in pages. */
  async #readFiles(startLsn: bigint, tablespaces: readonly ListedTablespace[]): Promise<readonly string[]> {
    const { stores, clock, progress, signal, maxRate } = this.#options;
    const { session, control } = this.#options.direct;
    const bytes = await session.clusterBytes();
    progress.begin('reading data files', { unit: 'bytes', ...(bytes === null ? {} : { total: bytes }) });
    const askFlushed = () => session.flushLsn();
    const findings = new PageFindings({ askFlushed, clock, flushedLsn: await askFlushed() });
    const readers = this.#readers.use(
      new FileReaders({
        pipeline: stores.ingest,
        readers: Math.ceil(this.#options.workers / WORKERS_PER_READER),
        checkedBefore: control.dataChecksumVersion === 0 ? 0n : startLsn,
        blocksPerSegment: control.blocksPerFileSegment,
        flushedLsn: () => findings.flushedLsn,
        rate: maxRate === undefined ? null : new RateLimit(maxRate * RATE_UNIT_BYTES, clock),
        signal,
      }),
    );
    const files = this.#filesOf(listFiles({ ...this.#view, tablespaces }));
    await readers.readAll(files, async (filled, slab, known) => {
      // As long as the files are known by their numbers.
      findings.note(filled.findings, known);
      await this.#take(filled, slab, known);
    });
    return findings.finish();
  }

  /** Keeps directories as they come and gives the files on. */
  async *#filesOf(listing: ReturnType<typeof listFiles>): AsyncGenerator<{ path: string; from: string }, void> {
    for await (const entry of listing) {
      if (entry.kind === 'file') yield entry;
      else if (entry.kind === 'other') this.#specialFiles += 1;
      else {
        const { path, mode, mtimeMs } = entry;
        this.#assembler.addEntry({ type: 'directory', path, mode, mtimeMs });
      }
    }
  }

  async #take(filled: FilledSlab, slab: IngestSlab, files: ReadonlyMap<number, NumberedFile>): Promise<void> {
    for (const step of filled.steps) {
      if (step.kind === 'opened') this.#beginFile(step, files.get(step.file)!.path);
      else if (step.kind === 'piece') await this.#addPiece(step, slab);
    }
    this.#bytes += filled.bytes;
    this.#options.progress.advance(filled.bytes);
  }

  #beginFile(step: ReadStep & { kind: 'opened' }, path: string): void {
    const { file, size, mode } = step;
    const mtimeMs = Math.floor(step.mtimeMs / MTIME_UNIT_MS) * MTIME_UNIT_MS;
    const paged = isPagedFile(path, size);
    if (!paged && size > 0 && relationFileOf(path) !== null) this.#unchecked.add(serverPathOf(path)!);
    const previous = paged ? (this.#options.previous?.find(path) ?? null) : null;
    const row = this.#assembler.entries.addFile({ path, mode, mtimeMs });
    const pieces = this.#assembler.collector.beginFile(row, { paged, previous });
    const opened = { pieces, row, size, keeping: this.#kept.begin(path, size) };
    if (size === 0) this.#endFile(opened);
    else this.#open.set(file, opened);
  }

  async #addPiece({ file, at, length, last }: ReadStep & { kind: 'piece' }, slab: IngestSlab): Promise<void> {
    const opened = this.#open.get(file)!;
    await opened.pieces.prepare();
    opened.keeping?.push(Buffer.from(slab.bytes.subarray(at, at + length)));
    opened.pieces.addPiece(slab, { at, length, last });
    if (!last) return;
    this.#open.delete(file);
    this.#endFile(opened);
  }

  #endFile({ pieces, row, size }: { pieces: CollectedFile; row: number; size: number }): void {
    this.#assembler.entries.setSize(row, size);
    pieces.end();
  }

  /** Errors: BACKUP_CONTROL_FILE_INVALID. */
  async #readControlFile(): Promise<Buffer> {
    const { server, direct } = this.#options;
    const { bytes, control, mode, mtimeMs } = await readControlFileBytes(direct.dataDirectory);
    if (control.systemId !== server.identity.systemId) {
      throw new HoldfastError('BACKUP_CONTROL_FILE_INVALID', 'could not take a sound copy of "global/pg_control"', {
        detail: `Expected the system identifier ${server.identity.systemId}, found ${control.systemId}: another cluster was put in the place of this one while it was read.`,
        hints: ['Take the backup again, with nobody at work in the data directory.'],
      });
    }
    await this.#keepFile(CONTROL_PATH, bytes, mode, Math.floor(mtimeMs / MTIME_UNIT_MS) * MTIME_UNIT_MS);
    return bytes;
  }

  /** A primary stays on its timeline; of a standby it is that up to which its files have to be replayed. */
  async #endTimeline(startTimeline: number): Promise<number> {
    const { server, direct } = this.#options;
    if (!server.isStandby) return startTimeline;
    const { timeline } = server.identity;
    if (startTimeline !== timeline) throw timelineChanged(startTimeline, timeline);
    return (await readControlFile(direct.dataDirectory)).minRecoveryTimeline;
  }

  async #keepFile(path: string, content: Buffer, mode: number, mtimeMs?: number): Promise<void> {
    const now = Math.floor(this.#options.clock.now() / MTIME_UNIT_MS) * MTIME_UNIT_MS;
    this.#assembler.beginFile({ path, mode, mtimeMs: mtimeMs ?? now, size: content.length, paged: false });
    this.#bytes += content.length;
    await this.#assembler.write(content);
    this.#assembler.endFile();
  }

  #noteSpecialFiles(): void {
    const count = this.#specialFiles;
    if (count === 0) return;
    this.#options.progress.note(
      `${count === 1 ? 'one link, socket or device' : `${count} links, sockets or devices`} in the data directory left out, as the server leaves them out too`,
    );
  }

  /** The server says so too when it sends one. It may have been growing just then; one that stays so is damaged. */
  #noteUnchecked(): void {
    const { count, first } = this.#unchecked;
    if (count === 0) return;
    const files = count === 1 ? 'one file of a relation is' : `${count} files of relations are`;
    const names = [...first.map((path) => `"${path}"`), ...(count > first.length ? ['…'] : [])].join(', ');
    this.#options.progress.note(`${files} not made of whole pages, and none of their pages was checked: ${names}`);
  }
}

/** As BASE_BACKUP tells them, with the cluster's own directory last. */
function startOf(tablespaces: readonly ListedTablespace[]): ReceivedFiles['start']['tablespaces'] {
  const listed = tablespaces.map(({ oid, location }) => ({ oid, path: location, estimatedBytes: null }));
  return [...listed, { oid: null, path: null, estimatedBytes: null }];
}
