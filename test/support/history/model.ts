/** A table as the writer left it. */
export interface TableState {
  readonly columns: readonly string[];
  readonly rows: Map<number, string>;
}

/** What can be seen of one database. */
export interface DatabaseState {
  readonly tables: Map<string, TableState>;
  /** Content by OID, as text of hexadecimal digits. */
  readonly largeObjects: Map<string, string>;
  /** The highest number of each sequence that was given out; a restored one may stand higher, as PostgreSQL logs ahead. */
  readonly sequences: Map<string, number>;
}

/** What can be seen of a cluster. */
export interface ClusterState {
  readonly databases: Map<string, DatabaseState>;
}

/** What a transaction changes once it is committed. It is applied to many states, and keeps nothing of any. */
export type Effect = (cluster: ClusterState) => void;

/** A transaction as its writer knows it, whatever became of it. */
export interface Transaction {
  readonly xid: number;
  readonly database: string;
  readonly effects: Effect[];
  /** Its name as a prepared transaction. */
  gid?: string;
}

/** An end of a transaction, or its preparation, as the server's own reader of WAL tells it. */
export interface JudgedRecord {
  readonly lsn: bigint;
  /** Microseconds since 1970. */
  readonly at: bigint;
  readonly kind: 'commit' | 'abort' | 'prepare';
  readonly xid: number;
  /** Null for one that the history did not write: of the server itself, or a subtransaction. */
  readonly transaction: Transaction | null;
}

/** What must be there, and which transactions wait prepared. */
export interface Expected {
  readonly cluster: ClusterState;
  readonly prepared: readonly string[];
}

export function emptyDatabase(): DatabaseState {
  return { tables: new Map(), largeObjects: new Map(), sequences: new Map() };
}

/** What must be there when exactly the given records were replayed: in the order of the WAL, each commit takes effect. */
export function foldRecords(records: Iterable<JudgedRecord>): Expected {
  const cluster: ClusterState = { databases: new Map([['postgres', emptyDatabase()]]) };
  const prepared = new Set<string>();
  for (const { kind, transaction } of records) {
    if (transaction === null) continue;
    if (kind === 'prepare') {
      prepared.add(transaction.gid!);
      continue;
    }
    if (transaction.gid !== undefined) prepared.delete(transaction.gid);
    if (kind === 'commit') for (const effect of transaction.effects) effect(cluster);
  }
  return { cluster, prepared: [...prepared].sort() };
}

/** The parts of a state as lines of text, so that a difference can be read. */
export function describeCluster({ cluster, prepared }: Expected): string[] {
  const lines = [`prepared: ${prepared.join(' ')}`];
  for (const [name, { tables, largeObjects }] of [...cluster.databases].sort(byName)) {
    lines.push(`database ${name}`);
    for (const [table, { columns, rows }] of [...tables].sort(byName)) {
      lines.push(`${name}.${table} (${columns.join(' ')}): ${describeRows(rows)}`);
    }
    for (const [oid, hex] of [...largeObjects].sort(byName)) lines.push(`${name} large object ${oid}: ${hex}`);
  }
  return lines;
}

/** As `string_agg(id || '=' || v, ' ' ORDER BY id)` gives them. */
function describeRows(rows: ReadonlyMap<number, string>): string {
  return [...rows]
    .sort(([a], [b]) => a - b)
    .map(([id, value]) => `${id}=${value}`)
    .join(' ');
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
