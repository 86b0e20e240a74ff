import { HoldfastError } from '../../lib/index.ts';
import { type FetchChunk, type FileEntry, readTree, type TreeEntry } from '../../repository/index.ts';
import { isMarkerName } from '../restore-marker.ts';
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
  /** Bytes of files in each tablespace, by its OID; what lies elsewhere is left. */
  readonly tablespaceBytes: ReadonlyMap<number, number>;
  /** Which files of a server's configuration lie in the data directory. */
  readonly configuration: ReadonlySet<string>;
}

const DATA_PREFIX = 'data/';
/** Files of a tablespace stand under its OID. In the data directory they are reached through the link in this directory. */
const SPACE_PREFIX = 'space/';
const LINKS = 'pg_tblspc';

/** Files without which the directory is no cluster, or one that would be replayed from the wrong place. */
const REQUIRED_FILES = ['PG_VERSION', 'backup_label', 'global/pg_control'];

const CONFIGURATION_FILES = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'];

/**
 * Files that say what the old server was doing, and would make the new one do it: a standby never ends its recovery, and a restore of ours
 * that was backed up is not this one.
 */
const LEFT_OUT = ['standby.signal', 'recovery.signal', 'postmaster.pid', 'postmaster.opts', SPOOL_DIRECTORY];

/** From this file PostgreSQL would link the tablespaces again, to the old places; links are made instead. Without tablespaces it is empty, and stays. */
const TABLESPACE_MAP = 'tablespace_map';

/**
 * Reads the tree once and checks that it is a cluster's; `visit` sees each file.
 * Errors: RESTORE_SNAPSHOT_INCOMPLETE; CHUNK_DAMAGED, CHUNK_ABSENT and TREE_INVALID of the tree; those of the store.
 */
export async function readOutline(
  snapshot: SnapshotFacts,
  readChunk: FetchChunk,
  visit: (entry: FileEntry) => void | Promise<void> = () => {},
): Promise<TreeOutline> {
  const topLevel = new Set<string>();
  const directories: { path: string; mode: number }[] = [];
  const configuration = new Set<string>();
  const missing = new Set(REQUIRED_FILES);
  const tablespaceBytes = new Map(snapshot.tablespaces.map(({ oid }) => [oid, 0]));
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
    const oid = tablespaceOf(entry.path);
    if (oid !== null) tablespaceBytes.set(oid, (tablespaceBytes.get(oid) ?? 0) + entry.size);
    await visit(entry);
  }
  if (missing.size > 0) throw incomplete(snapshot, [...missing]);
  // A file that lies nowhere is lost: the record must name every tablespace of which there are files.
  const unnamed = [...tablespaceBytes.keys()].find((oid) => snapshot.tablespaces.every((known) => known.oid !== oid));
  if (unnamed !== undefined) throw incomplete(snapshot, [`pg_tblspc/${unnamed}`]);
  return { topLevel: [...topLevel], directories, files, bytes, tablespaceBytes, configuration };
}

/** The tablespace in which a path lies, by its OID; null for one in the data directory itself. */
function tablespaceOf(path: string): number | null {
  const [top, oid] = path.split('/', 2);
  return top === LINKS && oid !== undefined && /^[0-9]+$/.test(oid) ? Number(oid) : null;
}

/**
 * The entries that are restored, with paths relative to the data directory; a file of a tablespace has the path through its link. In the order
 * of the tree, so that all that lies in one directory comes together.
 */
export async function* readDataEntries(
  snapshot: SnapshotFacts,
  readChunk: FetchChunk,
): AsyncGenerator<Exclude<TreeEntry, { type: 'link' }>, void> {
  const leftOut = snapshot.tablespaces.length === 0 ? LEFT_OUT : [...LEFT_OUT, TABLESPACE_MAP];
  for (const prefix of [DATA_PREFIX, SPACE_PREFIX]) {
    for await (const entry of readTree(snapshot.treeRoot, readChunk, { prefix })) {
      const rest = entry.path.slice(prefix.length);
      const path = prefix === SPACE_PREFIX ? `${LINKS}/${rest}` : rest;
      const [top] = path.split('/', 1);
      if (leftOut.includes(top!) || isMarkerName(top!)) continue;
      // Some clusters keep their WAL or their configuration elsewhere through a link, which would lead into the old place.
      if (entry.type === 'link') throw linkRefused(snapshot, path, entry.target);
      yield { ...entry, path };
    }
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
