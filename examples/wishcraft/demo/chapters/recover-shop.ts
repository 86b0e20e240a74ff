import { join } from 'node:path';
import { type Repository, systemClock } from 'holdfast';
import { formatBytes, formatDuration, formatQuantity } from '../../../../src/lib/index.ts';
import { type RecoveryTarget, type RestoreResult, runRestore } from '../../../../src/restore/index.ts';
import { formatLsn } from '../../lsn.ts';
import { type Division, divideAt } from '../account.ts';
import type { KeptPlace } from '../kept.ts';
import { formatProbe, waitForGreen } from '../probes.ts';
import { clusterName, openProtection } from '../protection.ts';
import { locateCulprit, locateWrite } from '../recovery.ts';
import { databaseName, type Shop } from '../shop.ts';
import type { World } from '../world.ts';
import type { ProtectedShop, TakenBackup } from './protect-shop.ts';
import type { SufferedDisaster } from './suffer-disaster.ts';

/** A shop that serves again. */
export interface RecoveredShop {
  readonly division: Division;
  /** Where recovery ended, as PostgreSQL writes it. */
  readonly recoveredTo: string;
  readonly restore: { readonly bytes: number; readonly seconds: number };
  /** The first moment at which every probe was green. */
  readonly greenAtMonotonicMs: number;
  readonly server: KeptPlace['recovered'];
}

type Situation = ProtectedShop & SufferedDisaster & { readonly backup: TakenBackup };

/** Brings the database back, to just before the transaction that did it or to the last record, and the application onto it. */
export async function recoverTheShop(world: World, shop: Shop, situation: Situation): Promise<RecoveredShop> {
  const { screen, signal } = world;
  screen.chapter('The recovery');
  if (situation.disaster.transaction === null) await storeLastWal(world, situation);
  const repository = await openProtection(situation.protection);
  world.onEnd(() => repository.close());
  const culpritLsn = await locatePosition(world, repository, situation);
  const { restored, server } = await restoreServer(world, shop, situation, repository, culpritLsn);
  await screen.step(
    'moving WishCraft to the recovered server',
    async () => {
      await shop.moveTo(server.databaseUrl);
      return await waitForGreen(shop.app, signal);
    },
    (results) => `WishCraft serves again: ${results.map(formatProbe).join(', ')}`,
  );
  const greenAtMonotonicMs = performance.now();
  const recoveredTo = formatLsn(restored.reached!.lsn);
  const { bytes, seconds } = restored;
  const division = await divideWrites(repository, situation, culpritLsn);
  return { division, recoveredTo, restore: { bytes, seconds }, greenAtMonotonicMs, server };
}

/** The server is gone, and with it all that could still come: the receiver stores what it has and ends. */
async function storeLastWal({ screen }: World, { receiver }: Situation): Promise<void> {
  await screen.step(
    'stopping the receiver',
    () => receiver.stop(),
    () => 'the receiver has stored all that it had received',
  );
}

/** Where the transaction that did it was committed; `null` when it was none. */
async function locatePosition(
  world: World,
  repository: Repository,
  { disaster, backup }: Situation,
): Promise<bigint | null> {
  const { transaction } = disaster;
  if (transaction === null) return null;
  return await world.screen.step(
    'looking for the transaction in the stored WAL',
    () => locateCulprit(repository, backup.result.snapshot, transaction, world.signal),
    (lsn) => `transaction ${transaction.xid} committed at ${formatLsn(lsn)}, as the stored WAL says`,
  );
}

async function restoreServer(
  world: World,
  shop: Shop,
  { protection }: Situation,
  repository: Repository,
  culpritLsn: bigint | null,
): Promise<{ restored: RestoreResult; server: KeptPlace['recovered'] }> {
  const target: RecoveryTarget = culpritLsn === null ? { kind: 'latest' } : { kind: 'lsn', lsn: culpritLsn };
  return await world.screen.step(
    culpritLsn === null ? 'restoring to the last record' : 'restoring to just before it',
    async (progress) => {
      const restored = await runRestore({
        ...{ repository, target, progress },
        cluster: clusterName,
        into: join(world.directory, 'recovered'),
        exclusive: culpritLsn !== null,
        start: { binDirectory: shop.server.binDirectory },
        stateDirectory: protection.stateDirectory,
        clock: systemClock,
        signal: world.signal,
      });
      const instance = restored.instance!;
      world.onEnd(() => (world.isKept ? instance.release() : instance.stop()));
      return { restored, server: describeServer(world, restored) };
    },
    ({ restored }) => describeRestore(restored),
  );
}

function describeServer(world: World, { instance }: RestoreResult): KeptPlace['recovered'] {
  const { runDirectory, instance: server } = instance!;
  const { port } = server.target;
  return {
    databaseUrl: `postgresql://postgres@/${databaseName}?host=${encodeURIComponent(runDirectory)}&port=${port}`,
    dataDirectory: join(world.directory, 'recovered'),
    pid: server.pid,
  };
}

function describeRestore({ bytes, files, seconds, proposal, reached }: RestoreResult): string {
  const { exclusive, timeline } = proposal.target;
  const size = `${formatBytes(bytes)} in ${formatQuantity(files, 'file')} and the WAL since`;
  const where = exclusive ? 'just before that commit' : 'the last record that was stored';
  return `restored ${size} in ${formatDuration(seconds * 1_000)}, recovered to ${formatLsn(reached!.lsn)} on timeline ${timeline}, ${where}`;
}

/** Before which position a write must lie to be expected; without one, every acknowledged write is. */
async function divideWrites(repository: Repository, situation: Situation, position: bigint | null): Promise<Division> {
  const { acknowledged } = situation.report;
  if (position === null) return { expected: [...acknowledged], leftOut: [], decidedByWal: 0 };
  const { snapshot } = situation.backup.result;
  return await divideAt(position, acknowledged, (write) => locateWrite(repository, snapshot, write));
}
