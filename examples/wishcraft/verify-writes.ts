import pg from 'pg';
import type { AcknowledgedWrite, StartedWrite } from './load.ts';
import { traces, type WriteKind, writeKinds } from './writes.ts';

/** What was looked for; any record of a write that has these three. */
export type SoughtWrite = Pick<StartedWrite, 'number' | 'kind' | 'evidence'>;

/** What became of each write that was looked for. */
export interface WriteVerification<Write extends SoughtWrite> {
  found: Write[];
  /** No row with its number. */
  missing: Write[];
  /** A row with its number, but with another evidence. */
  altered: Write[];
}

/** Writes in one query: a few hundred kilobytes of parameters. */
const batchCountMax = 5_000;

/**
 * Looks for every write by itself: a row with its number, and in it its evidence. `client` is a connection to the
 * database in question, or anything with its `query`. A table that is not there has none of its writes.
 */
export async function verifyWrites<Write extends SoughtWrite>(
  client: Pick<pg.Client, 'query'>,
  writes: readonly Write[],
): Promise<WriteVerification<Write>> {
  const verification: WriteVerification<Write> = { found: [], missing: [], altered: [] };
  for (const kind of writeKinds) {
    const ofKind = writes.filter((write) => write.kind === kind);
    for (let first = 0; first < ofKind.length; first += batchCountMax) {
      const batch = ofKind.slice(first, first + batchCountMax);
      const evidence = await readEvidence(client, kind, batch);
      for (const [index, write] of batch.entries()) {
        const found = evidence[index];
        const list = found === undefined ? 'missing' : found === write.evidence ? 'found' : 'altered';
        verification[list].push(write);
      }
    }
  }
  for (const list of Object.values(verification)) list.sort((a: Write, b: Write) => a.number - b.number);
  return verification;
}

/** For each write the evidence that stands beside its number, `undefined` where there is no such row. */
async function readEvidence(
  client: Pick<pg.Client, 'query'>,
  kind: WriteKind,
  writes: readonly SoughtWrite[],
): Promise<(string | undefined)[]> {
  const { table, numberColumn, evidence } = traces[kind];
  try {
    const { rows } = await client.query<{ found: boolean; evidence: string | null }>(
      `SELECT row.number IS NOT NULL AS found, row.evidence
       FROM unnest($1::bigint[]) WITH ORDINALITY AS sought (number, place)
       LEFT JOIN LATERAL (
         SELECT ${numberColumn} AS number, ${evidence} AS evidence FROM ${table} WHERE ${numberColumn} = sought.number
       ) AS row ON true
       ORDER BY sought.place`,
      [writes.map((write) => write.number)],
    );
    if (rows.length !== writes.length) throw new Error(`numbers in "${table}" are not unique any more`);
    return rows.map((row) => (row.found ? (row.evidence ?? '') : undefined));
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === undefinedTable) return writes.map(() => undefined);
    throw error;
  }
}

const undefinedTable = '42P01';

/** Acknowledged writes on either side of a position in the WAL, such as the commit of a `DROP TABLE`. */
export interface WritesAround {
  before: AcknowledgedWrite[];
  after: AcknowledgedWrite[];
  /** The position lies between what was read just before and just after the commit, so that either may be so. */
  undecided: AcknowledgedWrite[];
}

/** Sorts writes by whether their commit record ends at or before `position`, or begins at or after it. */
export function divideWrites(writes: readonly AcknowledgedWrite[], position: bigint): WritesAround {
  const around: WritesAround = { before: [], after: [], undecided: [] };
  for (const write of writes) {
    if (write.walAfterCommit !== undefined && write.walAfterCommit <= position) around.before.push(write);
    else if (write.walBeforeCommit >= position) around.after.push(write);
    else around.undecided.push(write);
  }
  return around;
}

/**
 * What must hold in any state that the database ever was in, whatever its position: no row without the row it belongs
 * to, and each item's count equal to its purchases. Returns a sentence for each rule that is broken.
 */
export async function checkInvariants(client: Pick<pg.Client, 'query'>): Promise<string[]> {
  const broken: string[] = [];
  for (const { rule, query } of invariants) {
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM (${query}) AS breach`);
    if (rows[0]?.count !== '0') broken.push(`${rule}: ${rows[0]?.count} breaches`);
  }
  return broken;
}

const invariants = [
  {
    rule: 'an item has been purchased as often as its purchases say',
    query: `SELECT item_id FROM items LEFT JOIN purchases USING (item_id)
            GROUP BY item_id HAVING items.quantity_purchased <> coalesce(sum(purchases.quantity), 0)`,
  },
  {
    rule: 'an item belongs to a registry',
    query: 'SELECT FROM items WHERE NOT EXISTS (SELECT FROM registries r WHERE r.registry_id = items.registry_id)',
  },
  {
    rule: 'a purchase is of an item of the same registry',
    query: `SELECT FROM purchases p WHERE NOT EXISTS (
              SELECT FROM items i WHERE i.item_id = p.item_id AND i.registry_id = p.registry_id)`,
  },
  {
    rule: 'a registry belongs to a customer of its shop',
    query: `SELECT FROM registries r WHERE NOT EXISTS (
              SELECT FROM customers c WHERE c.customer_id = r.customer_id AND c.shop_id = r.shop_id)`,
  },
] as const;
