import { HoldfastError } from '../../lib/index.ts';
import { PayloadReader } from '../protocol/index.ts';
import type { BaseBackupSink, BaseBackupTablespace } from './base-backup.ts';

const NEW_ARCHIVE = 0x6e; // n
const DATA = 0x64; // d
const MANIFEST = 0x6d; // m
const PROGRESS = 0x70; // p

/**
 * The archives of a server from version 15 on: one copy, in which the first byte of each message tells what it is.
 *
 * Shape:  'n' text name, text tablespace path (empty for the cluster's directory) · 'd' bytes · 'm' the manifest begins ·
 *         'p' int64 bytes done. After 'm', 'd' carries the manifest.
 * Source: PostgreSQL manual, "Streaming Replication Protocol", BASE_BACKUP.
 */
export class ArchiveDemultiplexer {
  readonly #sink: BaseBackupSink;
  #part: 'nothing' | 'archive' | 'manifest' = 'nothing';
  #isDone = false;

  constructor(sink: BaseBackupSink) {
    this.#sink = sink;
  }

  onCopyOut(): void {}

  onCopyData(view: Buffer): void | Promise<void> {
    switch (view[0]) {
      case DATA:
        if (this.#part === 'archive') return this.#sink.onData(view.subarray(1));
        if (this.#part === 'manifest') return this.#sink.onManifest(view.subarray(1));
        throw broken('Bytes came before any archive had begun.');
      case PROGRESS:
        this.#sink.onProgress?.(Number(new PayloadReader(view.subarray(1), 'BASE_BACKUP progress').int64()));
        return;
      case NEW_ARCHIVE: {
        const reader = new PayloadReader(view.subarray(1), 'BASE_BACKUP archive');
        const name = reader.text();
        const path = reader.text();
        this.#part = 'archive';
        return this.#sink.onArchive({ name, tablespacePath: path === '' ? null : path });
      }
      case MANIFEST:
        this.#part = 'manifest';
        return;
      default:
        throw broken(`A message begins with the byte ${view[0]}.`);
    }
  }

  onCopyDone(): void {
    this.#isDone = true;
  }

  checkComplete(): void {
    if (!this.#isDone || this.#part !== 'manifest') throw broken('The end position came before the manifest.');
  }
}

/**
 * The archives of a server of version 14: a copy for each tablespace in the order of the list, and one for the manifest,
 * all bytes without any mark. The server does not count; the bytes are counted here.
 */
export class SeparateArchives {
  readonly #sink: BaseBackupSink;
  readonly #tablespaces: readonly BaseBackupTablespace[];
  #copies = 0;
  #isDone = false;
  #bytes = 0;

  constructor(sink: BaseBackupSink, tablespaces: readonly BaseBackupTablespace[]) {
    this.#sink = sink;
    this.#tablespaces = tablespaces;
  }

  onCopyOut(): void | Promise<void> {
    const tablespace = this.#tablespaces[this.#copies++];
    if (this.#copies > this.#tablespaces.length + 1) throw broken('More archives came than there are tablespaces.');
    if (tablespace === undefined) return;
    const name = tablespace.oid === null ? 'base.tar' : `${tablespace.oid}.tar`;
    return this.#sink.onArchive({ name, tablespacePath: tablespace.path });
  }

  onCopyData(view: Buffer): void | Promise<void> {
    if (this.#copies > this.#tablespaces.length) return this.#sink.onManifest(view);
    this.#bytes += view.length;
    return this.#sink.onData(view);
  }

  onCopyDone(): void {
    if (this.#copies > this.#tablespaces.length) this.#isDone = true;
    else this.#sink.onProgress?.(this.#bytes);
  }

  checkComplete(): void {
    if (!this.#isDone) throw broken('The end position came before the manifest.');
  }
}

function broken(detail: string): HoldfastError {
  return new HoldfastError('PG_PROTOCOL_VIOLATION', 'invalid answer to BASE_BACKUP', { detail });
}
