import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../src/lib/index.ts';
import { giveToServerUser } from '../plain-backup.ts';
import { type PostgresServer, startPostgres } from '../postgres-server.ts';
import { untilOpen } from '../protected-server.ts';
import type { RefereeTools } from '../referee-tools.ts';

const REPLAY_POLLS_MAX = 3000;
const POLL_MS = 20;

/** A full backup and increments upon it, taken of a server by its own tools beside ours. */
export class ServerChain {
  readonly #server: PostgresServer;
  readonly #tools: RefereeTools;
  readonly #directory: string;
  readonly #links: string[] = [];

  constructor(server: PostgresServer, tools: RefereeTools, directory: string) {
    this.#server = server;
    this.#tools = tools;
    this.#directory = directory;
  }

  /** The next one: the first is full, each other one an increment upon the one before. */
  async take(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const directory = join(this.#directory, `link-${this.#links.length}`);
    const before = this.#links.at(-1);
    const { password, port } = this.#server;
    const moves = (await this.#tablespaces()).flatMap(({ location, oid }) => ['-T', `${location}=${directory}-${oid}`]);
    const upon = before === undefined ? [] : [`--incremental=${before}/backup_manifest`];
    // The WAL is read from the server's own directory later.
    const words = ['-U', 'postgres', '-D', directory, '-c', 'fast', '-X', 'none', ...moves, ...upon];
    const environment = { PGPASSWORD: password, PGHOST: '127.0.0.1', PGPORT: String(port) };
    const verdict = await this.#tools.run('pg_basebackup', words, environment);
    assert.equal(verdict.code, 0, verdict.stderr);
    this.#links.push(directory);
  }

  /** What pg_combinebackup makes of all of them: a data directory that any server of ours can start on. */
  async combine(): Promise<string> {
    const into = join(this.#directory, 'combined');
    const spaces = await this.#tablespaces();
    const moves = spaces.flatMap(({ oid }) => ['-T', `${this.#links.at(-1)}-${oid}=${into}-${oid}`]);
    const verdict = await this.#tools.run('pg_combinebackup', [...this.#links, '-o', into, ...moves]);
    assert.equal(verdict.code, 0, verdict.stderr);
    for (const { oid } of spaces) await giveToServerUser(`${into}-${oid}`);
    return into;
  }

  #tablespaces(): Promise<{ location: string; oid: number }[]> {
    return this.#server.query(
      "SELECT pg_tablespace_location(oid) AS location, oid::int FROM pg_tablespace WHERE spcname NOT LIKE 'pg_%'",
    );
  }
}

/**
 * Has a server replay to a restore point in a data directory, with the WAL as it lies in `source`, and stops it there: what is in the files then is
 * what replay has made of them, and nobody else has written to them. Behind the backup there must be a checkpoint before the point, with which the
 * server writes all pages out as it stops.
 */
export async function replayTo(point: string, source: PostgresServer, dataDirectory: string): Promise<void> {
  await writeFile(join(dataDirectory, 'recovery.signal'), '');
  await using server = await startPostgres({
    major: source.major,
    dataDirectory,
    settings: {
      restore_command: `cp "${join(source.dataDirectory, 'pg_wal')}/%f" "%p"`,
      // A restore has set another kind of target, and there may be one only; these have to be empty before the name is set.
      ...{ recovery_target: '', recovery_target_lsn: '', recovery_target_time: '', recovery_target_xid: '' },
      recovery_target_name: point,
      recovery_target_action: 'pause',
      recovery_target_timeline: 'current',
      hot_standby: 'on',
      summarize_wal: 'off',
    },
  });
  await untilOpen(server);
  for (let polls = 0; ; polls++) {
    const [row] = await server.query<{ state: string }>('SELECT pg_get_wal_replay_pause_state() AS state');
    if (row?.state === 'paused') break;
    assert.ok(polls < REPLAY_POLLS_MAX, `the server comes to ${point}:\n${await server.logText()}`);
    await systemClock.sleep(POLL_MS);
  }
  await server.stop('fast');
}
