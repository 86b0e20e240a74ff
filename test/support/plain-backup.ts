import { execFile } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TarReader } from '../../src/lib/index.ts';
import {
  type BackupManifest,
  type BaseBackupOptions,
  type BaseBackupResult,
  type PostgresConnection,
  parseBackupManifest,
  receiveBaseBackup,
} from '../../src/postgres/index.ts';
import { nobody, runsAsRoot } from './scratch.ts';

/** A base backup that was written as plain files, with what was seen on the way. */
export interface PlainBackup extends BaseBackupResult {
  readonly manifest: BackupManifest;
  /** SHA-256 and size of each file, by its path as the manifest names it. */
  readonly files: ReadonlyMap<string, { readonly size: number; readonly sha256: string }>;
  readonly archives: readonly string[];
  /** The files in the order in which they came. */
  readonly order: readonly string[];
}

/**
 * Takes a base backup into `directory` the simplest way, so that tests have something to start a server on. Tablespaces are
 * put beside it, at `directory`-<oid>, with links to there.
 */
export async function takePlainBackup(
  connection: PostgresConnection,
  directory: string,
  options: Partial<BaseBackupOptions> = {},
): Promise<PlainBackup> {
  const files = new Map<string, { size: number; sha256: string }>();
  const archives: string[] = [];
  const order: string[] = [];
  const manifest: Buffer[] = [];
  let tar: TarReader | undefined;
  mkdirSync(directory, { mode: 0o700, recursive: true });
  const result = await receiveBaseBackup(
    connection,
    { label: 'plain', checkpoint: 'fast', manifestChecksums: 'SHA256', ...options },
    {
      onStart: () => {},
      onArchive: ({ name, tablespacePath }) => {
        tar?.end();
        archives.push(name);
        const oid = tablespacePath === null ? undefined : name.replace('.tar', '');
        tar = oid === undefined ? extract(directory, '') : extract(`${directory}-${oid}`, `pg_tblspc/${oid}/`);
      },
      onData: (view) => tar?.push(view),
      onManifest: (view) => void manifest.push(Buffer.from(view)),
    },
  );
  tar?.end();
  for (const archive of archives) {
    if (archive === 'base.tar') continue;
    const oid = archive.replace('.tar', '');
    const link = join(directory, 'pg_tblspc', oid);
    rmSync(link, { recursive: true, force: true });
    symlinkSync(`${directory}-${oid}`, link);
  }
  return { ...result, manifest: parseBackupManifest(Buffer.concat(manifest)), files, archives, order };

  function extract(root: string, prefix: string): TarReader {
    let file: number | undefined;
    let hash: Hash = createHash('sha256');
    let path = '';
    let size = 0;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    return new TarReader({
      onEntry: (entry) => {
        path = entry.path;
        if (entry.type === 'directory') mkdirSync(join(root, path), { recursive: true, mode: entry.mode });
        else if (entry.type === 'symbolic-link') symlinkSync(entry.linkTarget, join(root, path));
        else {
          file = openSync(join(root, path), 'w', entry.mode);
          hash = createHash('sha256');
          size = 0;
          order.push(prefix + path);
        }
      },
      onBytes: (view) => {
        writeSync(file!, view);
        hash.update(view);
        size += view.length;
      },
      onEntryEnd: () => {
        if (file === undefined) return;
        closeSync(file);
        file = undefined;
        files.set(prefix + path, { size, sha256: hash.digest('hex') });
      },
    });
  }
}

/** Gives a tree to the user whom servers of the tests run as. */
export async function giveToServerUser(directory: string): Promise<void> {
  if (runsAsRoot) await promisify(execFile)('chown', ['-RP', `${nobody.uid}:${nobody.gid}`, directory]);
}
