import type { Clock } from '../../../lib/index.ts';
import type { PostgresConnection } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { CheckedServer } from './check-server.ts';
import { proveStandbyWal } from './prove-standby-wal.ts';
import { proveWal } from './prove-wal.ts';
import type { ReceivedFiles } from './receive-files.ts';
import type { SecuredWal } from './secured-wal.ts';

/**
 * Waits until the WAL of a backup whose files have come is durable, and proves that it is that of their server. Reads only, so that it goes on beside
 * whatever the backup still writes; nothing may be committed before it is over (rule A13).
 *
 * Errors: those of `SecuredWal.secured`, `proveWal` and `proveStandbyWal`.
 */
export async function proveReceivedWal(options: {
  repository: Repository;
  connection: PostgresConnection;
  server: CheckedServer;
  slot: string | null;
  received: ReceivedFiles;
  wal: SecuredWal;
  clock: Clock;
  signal?: AbortSignal;
}): Promise<void> {
  const { repository, server, received, wal } = options;
  const range = { timeline: received.start.timeline, start: received.start.startLsn, end: received.endLsn };
  const inventory = await wal.secured({ ...range, isLast: true });
  const proved = { ...range, system: server.identity.systemId, lineage: wal.lineage };
  if (server.isStandby) await proveStandbyWal({ ...options, inventory, wal: proved });
  else await proveWal(repository, inventory, proved);
}
