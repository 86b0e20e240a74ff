import type pg from 'pg';
import { knownRegistry } from './database.ts';
import { parseLsn } from './lsn.ts';

/**
 * The five kinds of write that the load makes, each one statement that commits by itself: the server's answer to it is
 * the acknowledgement. A write's number stands in its row, and so does its evidence, a text that no other write has.
 */
export const writeKinds = [
  'customer-created',
  'registry-created',
  'item-added',
  'purchase-made',
  'registry-edited',
] as const;

export type WriteKind = (typeof writeKinds)[number];

/** Where a write of each kind leaves its number and its evidence. */
export const traces: Record<WriteKind, { table: string; numberColumn: string; evidence: string }> = {
  'customer-created': { table: 'customers', numberColumn: 'write_number', evidence: `split_part(email, '@', 1)` },
  'registry-created': { table: 'registries', numberColumn: 'write_number', evidence: 'handle' },
  'item-added': { table: 'items', numberColumn: 'write_number', evidence: 'variant' },
  'purchase-made': { table: 'purchases', numberColumn: 'write_number', evidence: 'order_reference' },
  'registry-edited': { table: 'registries', numberColumn: 'edit_number', evidence: `details ->> 'edit'` },
};

/** One statement to be sent. */
export interface PreparedWrite {
  kind: WriteKind;
  evidence: string;
  text: string;
  values: unknown[];
  /** What the application knows once the write is acknowledged, or knows to be of no use once it changed no row. */
  onDone(id: string): void;
  onNothingChanged(): void;
}

/** What the server said of an acknowledged write. */
export interface WriteAnswer {
  id: string;
  transactionId: bigint;
  /** The end of WAL just before the commit record was written; the commit record begins here or later. */
  walBeforeCommit: bigint;
}

const returning = 'pg_current_xact_id()::text AS xid, pg_current_wal_insert_lsn()::text AS lsn';

const statements: Record<WriteKind, string> = {
  'customer-created': `INSERT INTO customers (shop_id, email, full_name, consent, write_number)
    VALUES ($1, $2::text || '@example.com', 'Customer ' || $3::text, '{"mail": true}', $3::text::bigint)
    RETURNING shop_id || '/' || customer_id AS id, ${returning}`,
  'registry-created': `INSERT INTO registries (shop_id, customer_id, handle, title, event_type, event_date, details, write_number)
    VALUES ($1, $2, $3, 'Registry ' || $4::text, 'wedding', date '2027-01-01' + ($4::bigint % 365)::int,
            jsonb_build_object('guests', $4::bigint % 200, 'message', md5($4::text)), $4::bigint)
    RETURNING registry_id AS id, ${returning}`,
  'item-added': `INSERT INTO items (registry_id, variant, title, price_cents, quantity_wanted, attributes, write_number)
    VALUES ($1, $2, 'Item ' || $3, ($3::bigint % 50000)::int, 4, jsonb_build_object('sku', md5($3)), $3::bigint)
    RETURNING item_id AS id, ${returning}`,
  // The item's own count and the purchase change together or not at all.
  'purchase-made': `WITH bought AS (
      UPDATE items SET quantity_purchased = quantity_purchased + 1
      WHERE item_id = $1 AND quantity_purchased < quantity_wanted RETURNING item_id, registry_id, price_cents)
    INSERT INTO purchases (item_id, registry_id, buyer_email, quantity, amount_cents, order_reference, write_number)
    SELECT item_id, registry_id, 'guest-' || $3 || '@example.com', 1, price_cents, $2, $3::bigint FROM bought
    RETURNING purchase_id AS id, ${returning}`,
  'registry-edited': `UPDATE registries
    SET title = title || ' (edited)', details = details || jsonb_build_object('edit', $2::text), edit_number = $3::bigint,
        updated_at = now()
    WHERE registry_id = $1 AND edit_number IS NULL
    RETURNING registry_id AS id, ${returning}`,
};

/** In this order, over and over: more registries than edits, as each registry is edited once at most. */
const rhythm: readonly WriteKind[] = [
  ...(['registry-created', 'item-added', 'purchase-made', 'customer-created', 'item-added'] as const),
  ...(['registry-created', 'registry-edited', 'item-added', 'purchase-made', 'registry-created'] as const),
];

/** How many rows of each kind are remembered to hang new ones on; the newest count. */
const rememberedCountMax = 200;

/** What one connection knows of the rows that are there, as an application that looks at its newest pages would. */
export class KnownRows {
  readonly #customers: string[] = [];
  readonly #registries: string[] = [];
  readonly #items: string[] = [];
  readonly #unedited: string[] = [];

  /** Reads some rows of a database to begin with; a table that is not there gives none. */
  async read(client: pg.Client): Promise<void> {
    for (const known of [this.#customers, this.#registries, this.#items, this.#unedited]) known.length = 0;
    const readIds = async (table: string, query: string, known: string[], values: unknown[] = []) => {
      const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [`public.${table}`]);
      if (rows[0]?.there !== true) return;
      const found = await client.query<{ id: string }>(`${query} LIMIT ${rememberedCountMax}`, values);
      known.push(...found.rows.map((row) => row.id));
    };
    await readIds('customers', `SELECT shop_id || '/' || customer_id AS id FROM customers`, this.#customers);
    await readIds('registries', 'SELECT registry_id AS id FROM registries WHERE handle <> $1', this.#registries, [
      knownRegistry.handle,
    ]);
    await readIds('items', 'SELECT item_id AS id FROM items WHERE quantity_purchased = 0', this.#items);
  }

  /** The next write in the rhythm; a kind that has nothing to hang on becomes a new customer, if there is a shop. */
  prepare(number: number, evidence: string): PreparedWrite | undefined {
    const wanted = rhythm[number % rhythm.length] ?? 'customer-created';
    const customer = pick(this.#customers, number);
    if (customer === undefined) return undefined;
    const [shopId, customerId] = customer.split('/');
    const numberText = String(number);
    const write = (kind: WriteKind, values: unknown[], remember: string[] | undefined): PreparedWrite => ({
      kind,
      evidence,
      text: statements[kind],
      values,
      onDone: (id) => {
        remember?.push(id);
        if (remember && remember.length > rememberedCountMax) remember.shift();
        if (kind === 'registry-created') this.#unedited.push(id);
      },
      onNothingChanged: () => {
        if (kind === 'purchase-made') this.#items.splice(this.#items.indexOf(String(values[0])), 1);
      },
    });
    if (wanted === 'registry-created') {
      return write(wanted, [shopId, customerId, evidence, numberText], this.#registries);
    }
    if (wanted === 'item-added') {
      const registry = pick(this.#registries, number);
      if (registry !== undefined) return write(wanted, [registry, evidence, numberText], this.#items);
    }
    if (wanted === 'purchase-made') {
      const item = pick(this.#items, number);
      if (item !== undefined) return write(wanted, [item, evidence, numberText], undefined);
    }
    if (wanted === 'registry-edited') {
      // Only registries that this connection made, each once: no other write can take an edit's number away.
      const registry = this.#unedited.shift();
      if (registry !== undefined) return write(wanted, [registry, evidence, numberText], undefined);
    }
    return write('customer-created', [shopId, evidence, numberText], this.#customers);
  }
}

/** Reads what a statement of `prepare` gave back; `undefined` when it changed no row. */
export function readAnswer(result: pg.QueryResult): WriteAnswer | undefined {
  const row: { id: string; xid: string; lsn: string } | undefined = result.rows[0];
  if (row === undefined) return undefined;
  return { id: row.id, transactionId: BigInt(row.xid), walBeforeCommit: parseLsn(row.lsn) };
}

/** Scattered, but the same for the same number. */
function pick(known: readonly string[], number: number): string | undefined {
  return known.length === 0 ? undefined : known[(number * 7919) % known.length];
}
