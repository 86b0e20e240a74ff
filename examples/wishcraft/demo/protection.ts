import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackupResult,
  type Credential,
  createRepository,
  HoldfastError,
  openRepository,
  openStore,
  type Progress,
  parseConnectionString,
  type Repository,
  runBackup,
  systemClock,
} from 'holdfast';
import type { PostgresServer } from '../../../test/support/postgres-server.ts';

/** Where the shop's backups go, and what opens them. */
export interface Protection {
  readonly location: string;
  readonly stateDirectory: string;
  readonly passphraseFile: string;
  readonly credential: Credential;
  /** What the commands read from the environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** As in WishCraft's plan; slot and application name follow from it. */
export const clusterName = 'wishcraft';
const applicationName = `holdfast_${clusterName}`;

/** Creates an encrypted repository below `directory`. `databaseUrl` is what the receiver connects to. */
export async function createProtection(directory: string, databaseUrl: string): Promise<Protection> {
  const passphrase = randomBytes(16).toString('hex');
  const passphraseFile = join(directory, 'passphrase');
  await writeFile(passphraseFile, `${passphrase}\n`, { mode: 0o600 });
  const location = join(directory, 'repository');
  const stateDirectory = join(directory, 'state');
  await mkdir(stateDirectory, { mode: 0o700 });
  const credential: Credential = { kind: 'passphrase', passphrase };
  const store = openStore(location, { clock: systemClock });
  await (await createRepository({ store, credential, clock: systemClock, stateDirectory })).close();
  return {
    ...{ location, stateDirectory, passphraseFile, credential },
    environment: {
      DATABASE_URL: databaseUrl,
      HOLDFAST_REPOSITORY: location,
      HOLDFAST_PASSPHRASE: passphrase,
      HOLDFAST_STATE_DIR: stateDirectory,
    },
  };
}

/** Opens the repository anew, as a machine would that has nothing but its place and the passphrase. */
export function openProtection(protection: Protection): Promise<Repository> {
  return openRepository({
    store: openStore(protection.location, { clock: systemClock }),
    credential: protection.credential,
    access: 'write',
    clock: systemClock,
    stateDirectory: protection.stateDirectory,
  });
}

/** Takes a base backup with the rights of a role that can replicate and monitor, and nothing more. */
export async function takeBackup(
  protection: Protection,
  server: PostgresServer,
  progress: Progress,
  signal: AbortSignal,
): Promise<BackupResult> {
  await using stack = new AsyncDisposableStack();
  const repository = await openProtection(protection);
  stack.defer(() => repository.close());
  return await runBackup({
    repository,
    source: parseConnectionString(server.backupUrl, { variables: {} }),
    cluster: clusterName,
    stateDirectory: protection.stateDirectory,
    clock: systemClock,
    checkpoint: 'fast',
    label: 'demo',
    progress,
    signal,
  });
}

/** Waits until the server says that the receiver streams, and that commits wait for it where they should. */
export async function waitForReceiver(
  server: PostgresServer,
  wanted: 'streaming' | 'synchronous',
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + receiverWaitMsMax;
  for (;;) {
    const [standby] = await server.query<{ state: string; sync_state: string }>(
      `SELECT state, sync_state FROM pg_stat_replication WHERE application_name = '${applicationName}'`,
    );
    if (standby?.state === 'streaming' && (wanted === 'streaming' || standby.sync_state === 'sync')) return;
    if (performance.now() > deadlineMs) {
      throw new HoldfastError('DEMO_RECEIVER_AWAY', `receiver is not ${wanted}`, {
        detail: `After ${receiverWaitMsMax / 1000} seconds the server says: ${standby ? `${standby.state}, ${standby.sync_state}` : 'nobody of that name is there'}.`,
      });
    }
    await sleep(receiverPollMs, undefined, { signal });
  }
}

const receiverWaitMsMax = 60_000;
const receiverPollMs = 50;

/** From now on a commit returns when its record is durable in the repository too. */
export async function makeSynchronous(server: PostgresServer): Promise<void> {
  await server.query(`ALTER SYSTEM SET synchronous_standby_names = '${applicationName}'`);
  await server.query('SELECT pg_reload_conf()');
}
