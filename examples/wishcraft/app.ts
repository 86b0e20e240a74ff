import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import pg from 'pg';
import { connectTimeoutMs, knownRegistry } from './database.ts';
import { createLatencies, type Latencies } from './latencies.ts';

/** What the application needs to answer. */
export interface AppOptions {
  connectionString: string;
  /** 0, the default, takes any free one. */
  port?: number;
  /** Who sends it as a bearer token may read `/app` and `/api/registry-db`; random when not given. */
  token?: string;
}

/** A running application. */
export interface RunningApp {
  url: string;
  token: string;
  /** Moves the application to another database, as after a recovery; queries under way end on the old one. */
  pointAt(connectionString: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts WishCraft on 127.0.0.1. It starts without its database too, and says so when it is asked. */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  const token = options.token ?? randomBytes(16).toString('hex');
  let pool = createPool(options.connectionString);
  const app = createApp({ query: (text, values) => pool.query(text, values) }, token);
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: options.port ?? 0 });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', reject);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    pointAt: async (connectionString) => {
      const previous = pool;
      pool = createPool(connectionString);
      await previous.end();
    },
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
      await pool.end();
    },
  };
}

/** The one thing of a database that the pages use. */
export interface Queryable {
  query(text: string, values?: unknown[]): Promise<pg.QueryResult>;
}

/** The routes alone, without a server or a pool. */
export function createApp(database: Queryable, token: string): Hono {
  const app = new Hono();
  const latencies = createLatencies();
  app.use(async (_context, next) => {
    const startedMs = performance.now();
    await next();
    latencies.add(performance.now() - startedMs);
  });
  app.get('/health', (context) => answerHealth(context, database));
  app.get('/performance', (context) => answerPerformance(context, database, latencies));
  app.get('/app', async (context) =>
    // As an embedded Shopify application does: who comes without a session is sent to log in.
    isAuthorized(context, token) ? answerApp(context, database) : context.redirect('/auth/login', 302),
  );
  app.get('/auth/login', (context) => context.text('Open WishCraft from the admin of your shop.'));
  app.get('/api/registry-db', async (context) =>
    isAuthorized(context, token) ? answerRegistryDatabase(context, database) : context.json({ status: 'refused' }, 401),
  );
  return app;
}

async function answerHealth(context: Context, database: Queryable): Promise<Response> {
  try {
    await database.query('SELECT 1');
    return context.json({ status: 'ok', database: 'reachable' });
  } catch (error) {
    return context.json({ status: 'failed', database: reasonOf(error) }, 503);
  }
}

/** The application's own latencies are there without a database too; the round trip is what needs one. */
async function answerPerformance(context: Context, database: Queryable, latencies: Latencies): Promise<Response> {
  const startedMs = performance.now();
  try {
    await database.query('SELECT 1');
    return context.json({
      status: 'ok',
      requests: latencies.summary(),
      databaseRoundTripMs: performance.now() - startedMs,
    });
  } catch (error) {
    return context.json({ status: 'failed', requests: latencies.summary(), database: reasonOf(error) }, 503);
  }
}

async function answerApp(context: Context, database: Queryable): Promise<Response> {
  try {
    const { rows } = await database.query(
      `SELECT r.title, r.event_type, r.event_date::text, c.full_name,
              (SELECT count(*) FROM items i WHERE i.registry_id = r.registry_id) AS items
       FROM registries r JOIN customers c USING (customer_id) ORDER BY r.registry_id DESC LIMIT 20`,
    );
    return context.html(html`<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>WishCraft</title></head>
  <body>
    <h1>Newest registries</h1>
    <ul>${rows.map((row) => html`<li>${row.title}: ${row.event_type} on ${row.event_date}, by ${row.full_name}, ${row.items} items</li>`)}</ul>
  </body>
</html>`);
  } catch (error) {
    return context.text(`WishCraft cannot read its registries: ${reasonOf(error)}`, 503);
  }
}

/** Reads one row of which all is known beforehand: a database that answers, but with other data, is found out. */
async function answerRegistryDatabase(context: Context, database: Queryable): Promise<Response> {
  try {
    const { rows } = await database.query(
      `SELECT r.title, count(i.item_id)::int AS items
       FROM shops s JOIN registries r USING (shop_id) LEFT JOIN items i USING (registry_id)
       WHERE s.domain = $1 AND r.handle = $2 GROUP BY r.registry_id`,
      [knownRegistry.shopDomain, knownRegistry.handle],
    );
    const row: { title: string; items: number } | undefined = rows[0];
    if (row?.title === knownRegistry.title && row.items === knownRegistry.items) {
      return context.json({ status: 'ok', registry: knownRegistry.handle, items: row.items });
    }
    return context.json({ status: 'failed', expected: knownRegistry, found: row ?? null }, 503);
  } catch (error) {
    return context.json({ status: 'failed', database: reasonOf(error) }, 503);
  }
}

function isAuthorized(context: Context, token: string): boolean {
  const given = Buffer.from(context.req.header('authorization') ?? '');
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** A code where there is one: messages of a driver may name hosts and users, which a public page must not. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unreachable';
}

function createPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    application_name: 'wishcraft-app',
    max: 4,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: connectTimeoutMs,
  });
  // An idle connection that breaks is replaced by the pool with the next query.
  pool.on('error', () => {});
  return pool;
}
