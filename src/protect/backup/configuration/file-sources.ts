import { readdir, readFile, stat } from 'node:fs/promises';
import { codeOf } from '../../../lib/index.ts';
import { type PostgresConnection, quoteLiteral } from '../../../postgres/index.ts';

/** A configuration file is text that somebody typed; what is larger is none, and is not read. */
export const FILE_BYTES_MAX = 1 << 20;

/** What is read of a file. */
export interface ReadFile {
  readonly content: Buffer;
  readonly mode: number;
  readonly mtimeMs: number;
}

/** Somewhere that the server's files can be read from. What may not be read, or cannot, is an error. */
export interface FileSource {
  /** Null when there is no such file. */
  read(path: string): Promise<ReadFile | null>;
  /** Names in a directory, null when there is none. */
  list(directory: string): Promise<string[] | null>;
}

/** Modes are not told over SQL; these let nobody in whom the server's own file would not. */
const MODE_NOT_KNOWN = 0o600;

/** The server reads its own files for us, if the role may ask for that. */
export function filesOverSql(connection: PostgresConnection): FileSource {
  const ask = async (sql: string) => (await connection.query(sql))[0]?.rows ?? [];
  return {
    async read(path) {
      const call = `pg_catalog.pg_read_binary_file(${quoteLiteral(path)}, 0, ${FILE_BYTES_MAX + 1}, true)`;
      const encoded = (await ask(`SELECT pg_catalog.encode(${call}, 'base64')`))[0]?.[0] ?? null;
      if (encoded === null) return null;
      return { content: Buffer.from(encoded, 'base64'), mode: MODE_NOT_KNOWN, mtimeMs: 0 };
    },
    async list(directory) {
      const rows = await ask(`SELECT pg_catalog.pg_ls_dir(${quoteLiteral(directory)}, true, false)`);
      return rows.map((row) => row[0]!);
    },
  };
}

/** The disk of this machine, where the server runs on it. */
export const filesOnDisk: FileSource = {
  async read(path) {
    try {
      const found = await stat(path);
      if (!found.isFile() || found.size > FILE_BYTES_MAX) throw new Error(`"${path}" is no file of settings`);
      return { content: await readFile(path), mode: found.mode & 0o777, mtimeMs: Math.trunc(found.mtimeMs) };
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  },
  async list(directory) {
    try {
      return await readdir(directory);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  },
};
