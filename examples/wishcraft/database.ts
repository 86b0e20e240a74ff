import { readFile } from 'node:fs/promises';
import pg from 'pg';

/** The row that `/api/registry-db` reads: the seed puts it there, nothing else writes to it. */
export const knownRegistry = {
  shopDomain: 'wishcraft-demo.myshopify.com',
  handle: 'the-known-registry',
  title: 'The registry that is always here',
  items: 3,
} as const;

/** How many rows a seed made, by table. */
export interface SeededRows {
  shops: number;
  customers: number;
  registries: number;
  items: number;
  purchases: number;
}

/** A connected client; whoever asks for it ends it. */
export async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    application_name: 'wishcraft',
    connectionTimeoutMillis: connectTimeoutMs,
  });
  // A connection that breaks while idle shows with the next query; without a listener it would end the process.
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Long enough for a busy server, short enough for a probe that waits for the answer. */
export const connectTimeoutMs = 3_000;

/** Creates the five tables in an empty database, and fills them with a seed of which each row follows from its number. */
export async function createDatabase(
  connectionString: string,
  options: { registries?: number } = {},
): Promise<SeededRows> {
  const schema = await readFile(new URL('schema.sql', import.meta.url), 'utf8');
  const client = await connect(connectionString);
  try {
    await client.query('BEGIN');
    await client.query(schema);
    const rows = await seed(client, options.registries ?? 800);
    await client.query('COMMIT');
    await client.query('ANALYZE');
    return rows;
  } finally {
    await client.end();
  }
}

const shopCount = 5;
const itemsPerRegistry = 3;

/** Registry 1 is the known one; everybody else's follow from generate_series, so that any two seeds are equal. */
async function seed(client: pg.Client, registries: number): Promise<SeededRows> {
  const { rowCount: shops } = await client.query(
    `INSERT INTO shops (domain, plan_name, settings)
     SELECT CASE n WHEN 1 THEN $2 ELSE 'shop-' || n || '.myshopify.com' END,
            (ARRAY['starter', 'growth', 'plus'])[1 + n % 3], jsonb_build_object('currency', 'EUR', 'theme', 'theme-' || n)
     FROM generate_series(1, $1::int) n`,
    [shopCount, knownRegistry.shopDomain],
  );
  const { rowCount: customers } = await client.query(
    `INSERT INTO customers (shop_id, email, full_name, consent)
     SELECT 1 + (n - 1) % $2, 'customer-' || n || '@example.com', 'Customer ' || n, jsonb_build_object('mail', n % 2 = 0)
     FROM generate_series(1, $1::int) n`,
    [registries, shopCount],
  );
  const { rowCount: registryRows } = await client.query(
    `INSERT INTO registries (shop_id, customer_id, handle, title, event_type, event_date, details)
     SELECT 1 + (n - 1) % $2, n,
            CASE n WHEN 1 THEN $3 ELSE 'registry-' || n END, CASE n WHEN 1 THEN $4 ELSE 'Registry ' || n END,
            (ARRAY['wedding', 'baby', 'birthday', 'housewarming'])[1 + n % 4], date '2027-01-01' + n % 365,
            jsonb_build_object('guests', n % 200, 'message', md5(n::text), 'tags', jsonb_build_array('seed', 'tag-' || n % 50))
     FROM generate_series(1, $1::int) n`,
    [registries, shopCount, knownRegistry.handle, knownRegistry.title],
  );
  const { rowCount: items } = await client.query(
    `INSERT INTO items (registry_id, variant, title, price_cents, quantity_wanted, quantity_purchased, attributes)
     SELECT r, 'gid://shopify/ProductVariant/' || r * 10 + i, 'Item ' || i || ' of ' || r, (r * 37 + i * 911) % 50000, 4,
            CASE WHEN i = 1 THEN 1 ELSE 0 END, jsonb_build_object('colour', 'colour-' || r % 12, 'sku', md5(r || '/' || i))
     FROM generate_series(1, $1::int) r, generate_series(1, $2::int) i`,
    [registries, itemsPerRegistry],
  );
  const { rowCount: purchases } = await client.query(
    `INSERT INTO purchases (item_id, registry_id, buyer_email, quantity, amount_cents, order_reference, order_details)
     SELECT item_id, registry_id, 'guest-' || item_id || '@example.com', 1, price_cents, 'seed-' || item_id,
            jsonb_build_object('message', 'With love', 'gift_wrap', item_id % 2 = 0)
     FROM items WHERE quantity_purchased = 1`,
  );
  return {
    shops: shops ?? 0,
    customers: customers ?? 0,
    registries: registryRows ?? 0,
    items: items ?? 0,
    purchases: purchases ?? 0,
  };
}
