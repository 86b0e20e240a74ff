import { HoldfastError } from '../../lib/index.ts';
import { type FetchChunk, type FileEntry, readTree, type TreeEntry } from '../../repository/index.ts';
import { MARKER_NAME } from '../restore-marker.ts';
import { type SnapshotFacts, shortId } from '../snapshot-facts.ts';
import { SPOOL_DIRECTORY } from '../spool/index.ts';

/** What a snapshot's tree looks like, without its files: what has to be known before anything is written. */
export interface TreeOutline {
  /** Names in the data directory itself. */
  readonly topLevel: readonly string[];
  /** Directories and links with paths relative to the data directory, parents first. */
  readonly directories: readonly { readonly path: string; readonly mode: number }[];
  readonly files: number;
  readonly bytes: number;
  /** Which files of a server's configuration lie in the data directory. */
  readonly configuration: ReadonlySet<string>;
}

const DATA_PREFIX = 'data/';

/** Files without which the directory is no cluster, or one that would be replayed from the wrong place. */
const REQUIRED_FILES = ['PG_VERSION', 'backup_label', 'global/pg_control'];

const CONFIGURATION_FILES = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'];

/**
 * Files that say what the old server was doing, and would make the new one do it: a standby never ends its recovery, and a restore of ours
 * that was backed up is not this one.
 */
const LEFT_OUT = [
  'standby.signal',
  'recovery.signal',
  'postmaster.pid',
  'postmaster.opts',
  MARKER_NAME,
  SPOOL_DIRECTORY,
];

/**
 * Reads the tree once and checks that it is a cluster's.
 * Errors: RESTORE_SNAPSHOT_INCOMPLETE; CHUNK_DAMAGED, CHUNK_ABSENT and TREE_INVALID of the tree; those of the store.
 */
export async function readOutline(snapshot: SnapshotFacts, readChunk: FetchChunk): Promise<TreeOutline> {
  const topLevel = new Set<string>();
  const directories: { path: string; mode: number }[] = [];
  const configuration = new Set<string>();
  const missing = new Set(REQUIRED_FILES);
  let files = 0;
  let bytes = 0;
  for await (const entry of readDataEntries(snapshot, readChunk)) {
    topLevel.add(entry.path.split('/')[0]!);
    missing.delete(entry.path);
    if (CONFIGURATION_FILES.includes(entry.path)) configuration.add(entry.path);
    if (entry.type === 'directory') directories.push({ path: entry.path, mode: entry.mode });
    if (entry.type !== 'file') continue;
    files += 1;
    bytes += entry.size;
  }
  if (missing.size > 0) throw incomplete(snapshot, [...missing]);
  return { topLevel: [...topLevel], directories, files, bytes, configuration };
}

/** The entries of the data directory that are restored, with paths relative to it. Symbolic links belong to tablespaces. */
export async function* readDataEntries(
  snapshot: SnapshotFacts,
  readChunk: FetchChunk,
): AsyncGenerator<Exclude<TreeEntry, { type: 'link' }>, void> {
  for await (const entry of readTree(snapshot.treeRoot, readChunk, { prefix: DATA_PREFIX })) {
    const path = entry.path.slice(DATA_PREFIX.length);
    if (LEFT_OUT.includes(path.split('/')[0]!)) continue;
    // Some clusters keep their WAL or their configuration elsewhere through a link, which would lead into the old place.
    if (entry.type === 'link') throw linkRefused(snapshot, path, entry.target);
    yield { ...entry, path };
  }
}

/** The file entries among them. */
export async function* readDataFiles(snapshot: SnapshotFacts, readChunk: FetchChunk): AsyncGenerator<FileEntry, void> {
  for await (const entry of readDataEntries(snapshot, readChunk)) if (entry.type === 'file') yield entry;
}

function incomplete(snapshot: SnapshotFacts, missing: readonly string[]): HoldfastError {
  return new HoldfastError(
    'RESTORE_SNAPSHOT_INCOMPLETE',
    `cannot restore snapshot "${shortId(snapshot.id)}": it is no whole cluster`,
    {
      detail: `Expected ${missing.map((name) => `"${name}"`).join(', ')} among its files, found none.`,
      hints: ['Choose another snapshot.'],
    },
  );
}

function linkRefused(snapshot: SnapshotFacts, path: string, target: string): HoldfastError {
  return new HoldfastError(
    'RESTORE_LINK_UNSUPPORTED',
    `cannot restore snapshot "${shortId(snapshot.id)}": "${path}" is a symbolic link`,
    {
      detail: `It leads to "${target}", which a restored server would write to beside the old one.`,
      hints: ['Use a later version to restore it.'],
    },
  );
}
