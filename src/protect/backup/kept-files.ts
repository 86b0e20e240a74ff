import type { ReceivedConfiguration } from './configuration/index.ts';
import type { EntryTable } from './entry-table.ts';

export const LABEL_PATH = 'data/backup_label';
export const CONTROL_PATH = 'data/global/pg_control';
const KEPT_PATHS: ReadonlySet<string> = new Set([LABEL_PATH, CONTROL_PATH]);
/** Files of settings in the data directory, or in a folder of it. */
const CONFIGURATION_FILE = /^data\/((?:[^/]+\/)?[^/]+\.conf)$/;
/** A file that is larger is none of these. */
const KEPT_FILE_BYTES_MAX = 1 << 20;
/** Of files of settings together; those beyond it are asked of the server, if the configuration names them. */
const SETTINGS_BYTES_MAX = 16 << 20;

/** What of a backup is kept in memory beside being stored: the label, `pg_control`, and files of settings. */
export class KeptFiles {
  readonly #kept = new Map<string, Buffer[]>();
  #settingsBytes = 0;

  /** For a file that begins: where its bytes are to be pushed, or null when it is not kept. `bytes` is its size. */
  begin(path: string, bytes: number): Buffer[] | null {
    if (!this.#isKept(path, bytes)) return null;
    const parts: Buffer[] = [];
    this.#kept.set(path, parts);
    return parts;
  }

  has(path: string): boolean {
    return this.#kept.has(path);
  }

  /** Its bytes; none of a file that did not come. */
  get(path: string): Buffer {
    return Buffer.concat(this.#kept.get(path) ?? []);
  }

  /** The files of settings, as far as they lie in the data directory. */
  configuration(entries: EntryTable): ReceivedConfiguration {
    const texts = new Map<string, Buffer>();
    for (const path of this.#kept.keys()) {
      const name = CONFIGURATION_FILE.exec(path)?.[1];
      if (name !== undefined) texts.set(name, this.get(path));
    }
    return { texts, has: (path) => entries.hasFile(`data/${path}`) };
  }

  #isKept(path: string, bytes: number): boolean {
    if (bytes > KEPT_FILE_BYTES_MAX) return false;
    if (KEPT_PATHS.has(path)) return true;
    if (!CONFIGURATION_FILE.test(path) || this.#settingsBytes + bytes > SETTINGS_BYTES_MAX) return false;
    this.#settingsBytes += bytes;
    return true;
  }
}
