import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres-server.ts';
import { type RunningApp, startApp } from '../app.ts';
import { createDatabase, type SeededRows } from '../database.ts';
import { createLoad, type Load } from '../load.ts';

/** WishCraft at work: its server, its application, and the shops that write to it. */
export interface Shop {
  readonly server: PostgresServer;
  readonly app: RunningApp;
  readonly load: Load;
  readonly seeded: SeededRows;
  /** The database that application and load use at the moment. */
  readonly databaseUrl: string;
  /** Moves both to another database. */
  moveTo(databaseUrl: string): Promise<void>;
  /** What a fire in the machine room leaves: no server and no data directory. */
  destroyServer(): Promise<void>;
  /** Stops all of it. */
  close(): Promise<void>;
}

/** Application and load have a database of their own. */
export const databaseName = 'wishcraft';
/** Some tens of megabytes: a backup that takes a moment, a seed that does not. */
const seededRegistries = 8_000;
const writesPerSecond = 200;

/** Starts everything below `directory`, with the load standing still. */
export async function openShop(directory: string): Promise<Shop> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startPostgres({ major: 18, directory: join(directory, 'primary') }));
  await server.query(`CREATE DATABASE ${databaseName}`);
  let databaseUrl = urlOf(server.url, databaseName);
  const seeded = await createDatabase(databaseUrl, { registries: seededRegistries });
  const app = await startApp({ connectionString: databaseUrl });
  stack.defer(() => app.stop());
  const load = createLoad({ connectionString: () => databaseUrl, writesPerSecond });
  stack.defer(async () => void (await load.stop()));
  const owned = stack.move();
  return {
    ...{ server, app, load, seeded },
    get databaseUrl() {
      return databaseUrl;
    },
    moveTo: async (url) => {
      databaseUrl = url;
      await app.pointAt(url);
    },
    destroyServer: async () => {
      await server.kill9();
      await rm(server.dataDirectory, { recursive: true, force: true });
    },
    close: () => owned.disposeAsync(),
  };
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
