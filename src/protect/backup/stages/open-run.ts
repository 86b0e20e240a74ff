import { type LedgerWriter, openAwayLedger, openLedger } from '../../../ledger/index.ts';
import type { Clock } from '../../../lib/index.ts';
import { type ConnectionTarget, connect, type PostgresConnection } from '../../../postgres/index.ts';
import { acquireLease, type Lease, type Repository } from '../../../repository/index.ts';

/** What every backup holds before it begins. */
export interface OpenRun {
  readonly lease: Lease;
  readonly ledger: LedgerWriter;
  readonly connection: PostgresConnection;
}

/**
 * Takes the lease, opens the ledger and connects to the server, all at the same time; `cleanup` gives back what was had, the lease last.
 *
 * Errors: those of the three, the lease's first.
 */
export async function openRun(
  options: {
    repository: Repository;
    stateDirectory: string;
    source: ConnectionTarget;
    clock: Clock;
    /** The copy that stands in for the primary; nothing otherwise. */
    takenIn?: string;
  },
  cleanup: AsyncDisposableStack,
): Promise<OpenRun> {
  const { repository, stateDirectory, source, clock, takenIn } = options;
  const taking = acquireLease(repository, { purpose: 'backup' });
  const lease = openLater(cleanup, taking, (taken) => taken.release());
  const ledger: Promise<LedgerWriter> =
    takenIn === undefined
      ? openLedger(repository, stateDirectory)
      : openAwayLedger(repository, stateDirectory, takenIn);
  ledger.catch(() => {}); // Awaited below, unless there is no lease.
  const connecting = connect(source, { replication: 'physical', applicationName: 'holdfast_backup', clock });
  const connection = openLater(cleanup, connecting, (opened) => opened.close());
  return { lease: await lease, ledger: await ledger, connection: await connection };
}

/** Registers what is being opened to be given back, also when something else fails before anybody waits for it. */
export function openLater<Opened>(
  cleanup: AsyncDisposableStack,
  opening: Promise<Opened>,
  giveBack: (opened: Opened) => Promise<void>,
): Promise<Opened> {
  // Whoever waits for it hears of its failure, and then there is nothing to give back.
  cleanup.defer(() => opening.then(giveBack, () => {}));
  opening.catch(() => {});
  return opening;
}
