import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupResult } from 'holdfast';
import { formatBytes, formatDuration, formatQuantity } from '../../../../src/lib/index.ts';
import { createProtection, makeSynchronous, type Protection, takeBackup, waitForReceiver } from '../protection.ts';
import { type Receiver, startReceiver } from '../receiver.ts';
import type { Shop } from '../shop.ts';
import type { World } from '../world.ts';

/** The shop's protection, at work. */
export interface ProtectedShop {
  readonly protection: Protection;
  readonly receiver: Receiver;
}

/** A repository, and a receiver that takes the WAL into it as it is written. */
export async function protectTheShop(world: World, shop: Shop): Promise<ProtectedShop> {
  const { screen, directory, signal, options } = world;
  screen.chapter('Its protection');
  const protection = await screen.step(
    'creating a repository',
    () => createProtection(directory, shop.server.backupUrl),
    ({ location }) => `an encrypted repository in ${location}`,
  );
  const isSynchronous = options.disaster === 'database-failure';
  const receiver = await screen.step(
    'starting the receiver of WAL',
    async () => {
      const started = await startReceiver({ directory, environment: protection.environment });
      world.onEnd(() => started.stop());
      void started.broken.then((error) => world.breakWith(error));
      await waitForReceiver(shop.server, 'streaming', signal);
      if (isSynchronous) await makeSynchronous(shop.server);
      await waitForReceiver(shop.server, isSynchronous ? 'synchronous' : 'streaming', signal);
      return started;
    },
    () =>
      isSynchronous
        ? '`holdfast wal stream` as the synchronous standby: a commit returns when the repository has it, too'
        : '`holdfast wal stream`, which makes each second of WAL durable in the repository',
  );
  return { protection, receiver };
}

/** When something began and ended, on the monotonic clock. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** A backup that was taken while shops wrote. */
export interface TakenBackup extends Span {
  readonly result: BackupResult;
}

/** Before the backup, so that it begins under load. */
const loadAloneMs = 1_000;
/** After the backup, so that there is something to replay. */
const loadAfterBackupMs = 1_500;

/** Lets the shops write, takes a base backup meanwhile, and lets them write on until it is time for the disaster. */
export async function backUpUnderLoad(world: World, shop: Shop, protection: Protection): Promise<TakenBackup> {
  const { screen, signal, options } = world;
  const count = () => shop.load.report().acknowledged.length;
  await shop.load.start();
  const loadStartMs = performance.now();
  await screen.step(
    'the shops begin to write',
    () => sleep(loadAloneMs, undefined, { signal }),
    () => `the shops write, ${formatQuantity(count(), 'write')} acknowledged up to now`,
  );
  const startMs = performance.now();
  const before = count();
  const result = await screen.step(
    'taking a base backup',
    (progress) => takeBackup(protection, shop.server, progress, signal),
    ({ snapshot, bytes, storedBytes, seconds }) =>
      `base backup ${snapshot.id.slice(0, 12)}: ${formatBytes(bytes)} read and ${formatBytes(storedBytes)} stored in ${formatDuration(seconds * 1_000)}, during ${formatQuantity(count() - before, 'write')}`,
  );
  const endMs = performance.now();
  const restMs = Math.max(loadAfterBackupMs, loadStartMs + options.seconds * 1_000 - endMs);
  await screen.step(
    'the shops write on',
    () => sleep(restMs, undefined, { signal }),
    () => `the shops write on, ${formatQuantity(count(), 'write')} acknowledged up to now`,
  );
  return { result, startMs, endMs };
}
