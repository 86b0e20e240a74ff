import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { type ConnectionTarget, connect, type PostgresConnection } from '../../../postgres/index.ts';

/** A data file in which the server found pages with a wrong checksum, and what it belongs to. */
export type DamagedFile = {
  /** Relative to the data directory. */
  readonly file: string;
  /** In words: `table "public.item" of database "shop"`; null when the server could not be asked, or did not know. */
  readonly relation: string | null;
};

/** A disk that dies damages one file after another; so many are named, the rest stands in the server's words. */
const NAMED_MAX = 100;
/** The database in which shared relations are looked up, and other databases by their number. */
const COMMON_DATABASE = 'postgres';

/** A data file in a message of the server's, whose words depend on its language: tablespace, database, file node. */
const DATA_FILE = /(?:global|base\/(\d+)|pg_tblspc\/(\d+)\/[^/\s"]+\/(\d+))\/(\d+)(?:_[a-z]+)?(?:\.\d+)?/;

const KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  i: 'index',
  S: 'sequence',
  t: 'TOAST data',
  m: 'materialized view',
};

/**
 * Says to which relations the files belong that the server complained of: a person knows tables, not file nodes.
 *
 * Asked over SQL; where the role may not log in the files stay without a name. Throws nothing of the server's.
 */
export async function nameDamage(options: {
  failures: readonly string[];
  source: ConnectionTarget;
  clock: Clock;
}): Promise<DamagedFile[]> {
  return nameRelations([...new Set(options.failures.flatMap((text) => DATA_FILE.exec(text)?.[0] ?? []))], options);
}

/** Says to which relations data files belong, each given by its path relative to the data directory. As `nameDamage`. */
export async function nameRelations(
  files: readonly string[],
  options: { source: ConnectionTarget; clock: Clock },
): Promise<DamagedFile[]> {
  const named: DamagedFile[] = [];
  for (const file of files.slice(0, NAMED_MAX)) named.push({ file, relation: await nameFile(file, options) });
  return named;
}

/** The server's words, each with the name of the relation that it is about. */
export function withNames(failures: readonly string[], damaged: readonly DamagedFile[]): string[] {
  return failures.map((text) => {
    const file = DATA_FILE.exec(text)?.[0];
    const relation = damaged.find((each) => each.file === file)?.relation ?? null;
    return relation === null ? text : `${text} (${relation})`;
  });
}

async function nameFile(
  file: string,
  { source, clock }: { source: ConnectionTarget; clock: Clock },
): Promise<string | null> {
  const [, baseDatabase, tablespace, spaceDatabase, node] = DATA_FILE.exec(file)!;
  const database = baseDatabase ?? spaceDatabase ?? null;
  try {
    const name = database === null ? COMMON_DATABASE : await findDatabase(source, clock, database);
    if (name === null) return null;
    const relation = await ask(
      source,
      clock,
      name,
      relationQuery(tablespace ?? (database === null ? '1664' : '0'), node!),
    );
    if (relation === null) return null;
    return database === null ? relation : `${relation} of database "${name}"`;
  } catch (error) {
    // Without a right to log in there, the file's own name has to do.
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

function findDatabase(source: ConnectionTarget, clock: Clock, oid: string): Promise<string | null> {
  return ask(source, clock, COMMON_DATABASE, `SELECT datname FROM pg_catalog.pg_database WHERE oid = ${oid}`);
}

/** An index and TOAST data are named with their table. */
function relationQuery(tablespace: string, node: string): string {
  const kinds = Object.entries(KINDS).map(([kind, word]) => `WHEN '${kind}' THEN '${word}'`);
  return `
    SELECT pg_catalog.format('%s "%s.%s"', CASE c.relkind ${kinds.join(' ')} ELSE 'relation' END, n.nspname, c.relname)
           || CASE WHEN t.oid IS NULL THEN '' ELSE pg_catalog.format(' of table "%s.%s"', tn.nspname, t.relname) END
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid OR (c.relkind = 't' AND t.reltoastrelid = c.oid)
    LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    WHERE c.oid = pg_catalog.pg_filenode_relation(${tablespace}, ${node})`;
}

async function ask(source: ConnectionTarget, clock: Clock, database: string, sql: string): Promise<string | null> {
  const connection: PostgresConnection = await connect(source, {
    database,
    applicationName: 'holdfast_backup_damage',
    clock,
  });
  try {
    // Whoever may make tables gives them names; none of them shall move the cursor of a terminal.
    return (await connection.query(sql)).at(-1)?.rows[0]?.[0]?.replaceAll(/\p{Cc}/gu, '?') ?? null;
  } finally {
    await connection.close();
  }
}
