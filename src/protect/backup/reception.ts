import { crc32c } from '@node-rs/crc32';
import { HoldfastError, type Progress, unreachable } from '../../lib/index.ts';
import { type TarEntry, TarReader } from '../../lib/tar/index.ts';
import { type BaseBackupSink, type BaseBackupStart, withoutIncrementalFrom } from '../../postgres/index.ts';
import type { FileAssembler } from './file-assembler.ts';
import { type IncrementAssembler, incrementedTreePath } from './increment/index.ts';
import { CONTROL_PATH, KeptFiles, LABEL_PATH } from './kept-files.ts';
import type { PreviousFiles } from './previous/index.ts';
import { isPagedFile } from './relation-file.ts';
import { timelineChanged } from './stages/check-consistency.ts';
import { ManifestCheck } from './stages/check-manifest.ts';
import type { CheckedServer } from './stages/check-server.ts';

const MANIFEST_PATH = 'meta/backup_manifest';

/** Takes the stream apart into files and directories and gives them their paths in the tree. */
export class Reception implements BaseBackupSink {
  readonly #assembler: FileAssembler;
  readonly #progress: Progress;
  readonly #server: CheckedServer;
  readonly #previous: PreviousFiles | null;
  readonly #increment: IncrementAssembler | null;
  readonly #signal: AbortSignal | undefined;
  readonly kept = new KeptFiles();
  readonly #oidOfPath = new Map<string, number>();
  #prefix = '';
  #tar: TarReader | null = null;
  #keeping: Buffer[] | null = null;
  #manifest: ManifestCheck | null = null;
  /** Where the bytes of the open entry go; null while none is open. */
  #open: 'file' | 'increment' | 'label' | null = null;
  #labelHead: { mode: number; mtimeMs: number } = { mode: 0, mtimeMs: 0 };
  /** Whether the server has begun to send: what it refuses it refuses before. */
  hasStarted = false;
  /** Of all files, as they came. */
  bytes = 0;

  constructor(
    assembler: FileAssembler,
    options: {
      progress: Progress;
      server: CheckedServer;
      previous: PreviousFiles | null;
      /** Takes the files of which only changes come; null where everything is asked for. */
      increment: IncrementAssembler | null;
      signal?: AbortSignal | undefined;
    },
  ) {
    this.#assembler = assembler;
    this.#previous = options.previous;
    this.#increment = options.increment;
    this.#progress = options.progress;
    this.#server = options.server;
    this.#signal = options.signal;
  }

  onStart(start: BaseBackupStart): void {
    this.hasStarted = true;
    // A standby that followed its primary to another timeline begins on the old one until it has replayed a checkpoint of the new.
    const { timeline } = this.#server.identity;
    if (this.#server.isStandby && start.timeline !== timeline) throw timelineChanged(start.timeline, timeline);
    let total = 0;
    for (const { oid, path, estimatedBytes } of start.tablespaces) {
      if (oid !== null && path !== null) this.#oidOfPath.set(path, oid);
      total += estimatedBytes ?? 0;
    }
    const isEstimated = start.tablespaces.some(({ estimatedBytes }) => estimatedBytes !== null);
    this.#progress.begin('reading data files', { unit: 'bytes', ...(isEstimated ? { total } : {}) });
  }

  onArchive({ name, tablespacePath }: { name: string; tablespacePath: string | null }): void {
    if (this.#isPassedOver) return;
    this.#tar?.end();
    this.#prefix = tablespacePath === null ? 'data' : `space/${this.#tablespaceOid(name, tablespacePath)}`;
    this.#assembler.addEntry({ type: 'directory', path: this.#prefix, mode: 0o700, mtimeMs: 0 });
    this.#tar = new TarReader({
      onEntry: (entry) => this.#beginEntry(entry),
      onBytes: (view) => this.#write(view),
      onEntryEnd: () => this.#endEntry(),
    });
  }

  onData(view: Buffer): void | Promise<void> {
    this.#signal?.throwIfAborted();
    this.#progress.advance(view.length);
    return this.#isPassedOver ? undefined : this.#tar!.push(view);
  }

  onManifest(view: Buffer): void | Promise<void> {
    if (this.#isPassedOver) return;
    if (this.#manifest === null) {
      this.#tar?.end();
      this.#tar = null;
      this.#manifest = new ManifestCheck(this.#assembler.entries, { hasIncrements: this.#increment !== null });
      this.#begin(MANIFEST_PATH, { mode: 0o600, mtimeMs: 0, size: null });
    }
    this.#manifest.push(view);
    return this.#write(view);
  }

  /** After the last byte. */
  async end(): Promise<ManifestCheck> {
    if (this.#manifest === null) throw incomplete('the manifest');
    await this.#endEntry();
    if (!this.kept.has(LABEL_PATH)) throw incomplete('the file "backup_label"');
    if (!this.kept.has(CONTROL_PATH)) throw incomplete('the file "global/pg_control"');
    return this.#manifest;
  }

  /** An increment that is of no use is read to its end, so that the connection can go on, and not looked at. */
  get #isPassedOver(): boolean {
    return this.#increment !== null && this.#increment.refusal !== null;
  }

  #tablespaceOid(name: string, path: string): number {
    return this.#oidOfPath.get(path) ?? Number.parseInt(name, 10);
  }

  #beginEntry(entry: TarEntry): void {
    // PostgreSQL writes some directories of its own as "./pg_wal/archive_status".
    const path = `${this.#prefix}/${entry.path.replace(/^(\.\/)+/, '')}`;
    const { mode, size } = entry;
    const mtimeMs = entry.mtime * 1000;
    switch (entry.type) {
      case 'file':
        this.#begin(path, { mode, mtimeMs, size });
        break;
      case 'directory':
        this.#assembler.addEntry({ type: 'directory', path, mode, mtimeMs });
        break;
      case 'symbolic-link':
        this.#assembler.addEntry({ type: 'link', path, mode, mtimeMs, target: entry.linkTarget });
        break;
      case 'hard-link':
        throw hardLink(path);
      default:
        unreachable(entry.type);
    }
  }

  #begin(path: string, head: { mode: number; mtimeMs: number; size: number | null }): void {
    this.#keeping = this.kept.begin(path, head.size ?? 0);
    const whole = this.#increment === null ? null : incrementedTreePath(path);
    if (whole !== null) {
      this.#open = 'increment';
      this.#increment!.beginFile({ ...head, path: whole });
      return;
    }
    if (path === LABEL_PATH && this.#increment !== null) {
      this.#open = 'label';
      this.#labelHead = head;
      return;
    }
    const paged = head.size !== null && isPagedFile(path, head.size);
    const previous = paged ? (this.#previous?.find(path) ?? null) : null;
    this.#assembler.beginFile({ path, ...head, paged, previous });
    this.#open = 'file';
  }

  #write(view: Buffer): void | Promise<void> {
    this.bytes += view.length;
    // A copy, as the view is good only for now.
    this.#keeping?.push(Buffer.from(view));
    if (this.#open === 'increment') return this.#increment!.write(view);
    if (this.#open === 'file') return this.#assembler.write(view);
  }

  #endEntry(): void | Promise<void> {
    const open = this.#open;
    this.#open = null;
    this.#keeping = null;
    if (open === 'file') this.#assembler.endFile();
    if (open === 'increment') this.#increment!.endFile();
    if (open === 'label') return this.#storeLabel();
  }

  /** Stores the label as a whole backup has it, and notes what came for the server's manifest. */
  async #storeLabel(): Promise<void> {
    const received = this.kept.get(LABEL_PATH);
    const label = Buffer.from(withoutIncrementalFrom(received.toString('utf8')), 'utf8');
    this.#assembler.beginFile({ ...this.#labelHead, path: LABEL_PATH, size: label.length, paged: false });
    await this.#assembler.write(label);
    this.#assembler.endFile();
    const { entries } = this.#assembler;
    entries.setReceivedAs(entries.count - 1, { size: received.length, crc32c: crc32c(received) });
  }
}

function hardLink(path: string): HoldfastError {
  return new HoldfastError('BACKUP_HARD_LINK', `cannot back up the hard link "${path}"`, {
    detail: 'Expected files, directories and symbolic links, as PostgreSQL sends them.',
  });
}

function incomplete(what: string): HoldfastError {
  return new HoldfastError('BACKUP_INCOMPLETE', `base backup ended without ${what}`, {
    detail: 'Expected every archive, the label and the manifest, as PostgreSQL sends them.',
    hints: ['Take the backup again; look into the log of the server if it happens twice.'],
  });
}
