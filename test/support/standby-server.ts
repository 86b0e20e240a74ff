import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/index.ts';
import { connect } from '../../src/postgres/index.ts';
import { giveToServerUser, takePlainBackup } from './plain-backup.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { targetOf } from './repository.ts';

/** Starts a standby that streams from `primary`, on a copy made now; the cluster lies in `directory`, which must not exist. */
export async function startStandby(
  primary: PostgresServer,
  directory: string,
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  const connection = await connect(targetOf(primary.backupUrl), { replication: 'physical' });
  try {
    const { archives } = await takePlainBackup(connection, directory);
    // Where a plain backup puts tablespaces.
    const spaces = archives.filter((name) => name !== 'base.tar').map((name) => name.replace('.tar', ''));
    for (const oid of spaces) await giveToServerUser(`${directory}-${oid}`);
  } finally {
    await connection.close();
  }
  await writeFile(join(directory, 'standby.signal'), '');
  const { socketDirectory, port, user, password } = primary;
  const source = `host=${socketDirectory} port=${port} user=${user} password=${password}`;
  await appendFile(join(directory, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`);
  return startPostgres({
    major: primary.major,
    dataDirectory: directory,
    settings: {
      hot_standby: 'on',
      wal_receiver_status_interval: '1s',
      wal_retrieve_retry_interval: '100ms',
      ...settings,
    },
  });
}

/** Settled when the standby has replayed all that the primary has flushed. */
export async function untilReplayed(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const [flushed] = await primary.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  for (;;) {
    const [row] = await standby.query<{ is: boolean | null }>(
      `SELECT pg_last_wal_replay_lsn() >= '${flushed!.lsn}' AS is`,
    );
    if (row!.is === true) return;
    if (standby.pid === undefined) throw new Error(`the standby has ended:\n${await standby.logText()}`);
    await systemClock.sleep(20);
  }
}
