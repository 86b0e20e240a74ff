import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import pg from 'pg';
import {
  type CommandSurroundings,
  documentOf,
  type RunningCommand,
  runHoldfast,
  startHoldfast,
} from '../support/command-line.ts';
import { asNobody, copyForEverybody } from '../support/open-copy.ts';
import { type PatroniCluster, type PatroniNode, startPatroniCluster, whyNoPatroni } from '../support/patroni/index.ts';
import { makeScratchDirectory, nobody } from '../support/scratch.ts';

/** The part of `wal status --json` that is looked at. */
interface WalStatus {
  lineages: {
    lineage: string;
    timeline: number;
    gaps: unknown[];
    parent: { lineage: string; reason: string } | null;
  }[];
}

const guide = new URL('../../docs/guides/patroni.md', import.meta.url);

/** The script that the guide tells to install, with `holdfast` at its place here. */
async function writeScriptOfGuide(path: string, program: string): Promise<void> {
  const [, script] = /^```sh\n(#!\/bin\/sh\n[\s\S]*?)^```$/m.exec(await readFile(guide, 'utf8'))!;
  await writeFile(path, script!.replaceAll(/^( *)holdfast /gm, `$1${program} `));
  await chmod(path, 0o755);
}

async function rowsOf(server: { host: string; port: number; password?: string }): Promise<string> {
  const client = new pg.Client({ user: 'postgres', database: 'postgres', ...server });
  await client.connect();
  try {
    const { rows } = await client.query(
      "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') AS rows FROM history",
    );
    return (rows as { rows: string }[])[0]!.rows;
  } finally {
    await client.end();
  }
}

describe('beside Patroni', { skip: whyNoPatroni() }, () => {
  const stack = new AsyncDisposableStack();
  let scratch: string;
  let cluster: PatroniCluster;
  let stream: RunningCommand;
  let environment: Record<string, string>;
  let surroundings: CommandSurroundings;
  let program: string;
  let script: string;
  let restores = 0;
  let lastPrimary = '';
  let survivor: PatroniNode;
  /** The lineage that the survivor did not have to its end. */
  let left = '';
  /** The position behind row n. */
  const behind: Record<number, string> = {};

  before(async () => {
    scratch = await makeScratchDirectory('patroni');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    const own = join(scratch, 'holdfast');
    await mkdir(own);
    await chown(own, nobody.uid, nobody.gid);
    environment = {
      HOLDFAST_REPOSITORY: join(own, 'repository'),
      HOLDFAST_STATE_DIR: join(own, 'state'),
      HOLDFAST_KEY_FILE: join(own, 'key'),
    };
    program = await copyForEverybody(join(scratch, 'program'));
    surroundings = { environment, through: asNobody(program) };
    cluster = await startPatroniCluster({
      scratch,
      names: ['a', 'b'],
      // A server that died is not waited for: the other one takes over at once.
      dynamic: { slots: { holdfast_main: { type: 'physical' } }, primary_start_timeout: 0 },
      environment,
    });
    stack.use(cluster);
    const primary = await cluster.primary();
    await primary.query(
      "CREATE ROLE holdfast LOGIN REPLICATION PASSWORD 'only-in-a-test'; GRANT pg_monitor TO holdfast",
    );
    await primary.query('CREATE TABLE history (n int PRIMARY KEY)');
    environment.DATABASE_URL = cluster.urlOf('primary');
    await holdfast('repository', 'init', '--generate-key-file', environment.HOLDFAST_KEY_FILE!);
    script = join(scratch, 'holdfast-for-patroni');
    await writeScriptOfGuide(script, program);
    stream = startHoldfast(['wal', 'stream'], surroundings);
    stack.defer(() => stopStream());
  });
  after(() => stack.disposeAsync());

  async function holdfast(...words: string[]) {
    const run = await runHoldfast([...words, '--json'], surroundings);
    assert.equal(run.code, 0, `holdfast ${words.join(' ')}\n${run.stdout}${run.stderr}`);
    return run;
  }

  async function stopStream(): Promise<void> {
    stream.child.kill('SIGTERM');
    await stream.ended;
  }

  const status = async () => documentOf<WalStatus>(await runHoldfast(['wal', 'status', '--json'], surroundings));

  /** Adds a row and gives the position behind it. */
  async function write(node: PatroniNode, n: number): Promise<string> {
    await node.query(`INSERT INTO history VALUES (${n})`);
    const [row] = await node.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    behind[n] = row!.lsn;
    return row!.lsn;
  }

  /** Settled when the receiver has said to the primary that it has all up to there. */
  async function untilKept(node: PatroniNode, lsn: string): Promise<void> {
    const ended = stream.ended.then(({ code, stdout, stderr }) => {
      throw new Error(`wal stream ended with ${code}:\n${stdout}${stderr}`);
    });
    const kept = cluster.until(`WAL up to ${lsn} in the repository`, async () => {
      const [row] = await node.query<{ is: boolean | null }>(
        `SELECT flush_lsn >= '${lsn}' AS is FROM pg_stat_replication WHERE application_name = 'holdfast_main'`,
      );
      return row?.is === true;
    });
    await Promise.race([kept, ended]);
  }

  const other = (node: PatroniNode) => cluster.nodes.find(({ name }) => name !== node.name)!;

  const untilFollowed = (primary: PatroniNode) =>
    cluster.until(`a standby of ${primary.name}`, async () => {
      const [row] = await primary.query<{ is: boolean }>(
        `SELECT replay_lsn = pg_current_wal_flush_lsn() AS is FROM pg_stat_replication WHERE application_name = '${other(primary).name}'`,
      );
      return row?.is === true;
    });

  /** What a restore to there has in `history`. */
  async function rowsAfter(...options: readonly string[]): Promise<string> {
    const into = join(scratch, `holdfast/restored-${++restores}`);
    const run = await holdfast('restore', '--into', into, '--start', '--bin-dir', cluster.binDirectory, ...options);
    const { instance } = documentOf<{ instance: { pid: number; socketDirectory: string; port: number } }>(run);
    try {
      return await rowsOf({ host: instance.socketDirectory, port: instance.port });
    } finally {
      process.kill(instance.pid, 'SIGQUIT');
    }
  }

  it('a permanent slot is on every node, and is moved forward on the standby', async () => {
    const primary = await cluster.primary();
    await untilKept(primary, await write(primary, 1));
    await primary.query('SELECT pg_switch_wal()');
    const lsn = await write(primary, 2);
    await untilKept(primary, lsn);
    await cluster.until('the slot of the standby to move', async () => {
      const [row] = await other(primary).query<{ is: boolean }>(
        `SELECT restart_lsn >= '${lsn}' AS is FROM pg_replication_slots WHERE slot_name = 'holdfast_main'`,
      );
      return row?.is === true;
    });
  });

  it('a backup is taken from the standby, with the WAL that the primary sends', async () => {
    const run = await runHoldfast(['backup', '--json'], {
      ...surroundings,
      environment: { ...environment, DATABASE_URL: cluster.urlOf('prefer-standby') },
    });
    assert.equal(run.code, 0, run.stderr);
    assert.equal(documentOf<{ fromStandby: boolean }>(run).fromStandby, true);
  });

  it('a switchover is followed', async () => {
    const before = await cluster.primary();
    await cluster.control([
      'switchover',
      'shop',
      '--leader',
      before.name,
      '--candidate',
      other(before).name,
      '--force',
    ]);
    const primary = await cluster.primary();
    assert.notEqual(primary.name, before.name);
    await untilKept(primary, await write(primary, 3));
    const { lineages } = await status();
    assert.deepEqual(
      lineages.map(({ timeline, gaps }) => ({ timeline, gaps })),
      [{ timeline: 2, gaps: [] }],
    );
    await untilFollowed(primary);
  });

  it('a failover after kill -9 of the server is followed', async () => {
    const before = await cluster.primary();
    await before.killServer();
    const primary = await cluster.until('another primary', async () => {
      const found = await cluster.primary();
      return found.name !== before.name && found;
    });
    await untilKept(primary, await write(primary, 4));
    const { lineages } = await status();
    assert.deepEqual(
      lineages.map(({ timeline, gaps }) => ({ timeline, gaps })),
      [{ timeline: 3, gaps: [] }],
    );
    await untilFollowed(primary);
  });

  it('a standby is made from the repository', async () => {
    const primary = await cluster.primary();
    const node = await cluster.add('c', {
      postgresql: {
        create_replica_methods: ['holdfast'],
        holdfast: { command: script },
        recovery_conf: { restore_command: `${program} wal fetch "%f" "%p"` },
      },
    });
    node.start();
    await cluster.until('the standby to stream', async () => {
      const following = await primary.query("SELECT FROM pg_stat_replication WHERE application_name = 'c'");
      return following.length === 1;
    });
    const server = { host: '127.0.0.1', port: node.port, password: 'only-in-a-test' };
    await cluster.until('its rows', async () => (await rowsOf(server)) === '1 2 3 4');
    await node.turnOff();
  });

  it('a commit that waits for Holdfast is kept also when its standby never had it', async () => {
    const before = await cluster.primary();
    survivor = other(before);
    await survivor.turnOff();
    // From here on a commit returns when the repository has it.
    await cluster.control([
      'edit-config',
      '--force',
      '-s',
      'postgresql.parameters.synchronous_standby_names=holdfast_main',
    ]);
    await cluster.until('a synchronous receiver', async () => {
      const [row] = await before.query<{ is: boolean }>(
        "SELECT sync_state = 'sync' AS is FROM pg_stat_replication WHERE application_name = 'holdfast_main'",
      );
      return row?.is === true;
    });
    await write(before, 5);
    left = (await status()).lineages[0]!.lineage;
    await before.turnOff();
    // It waits until the key of the leader has run out; what follows does not need a server.
    survivor.start();
    assert.equal(await rowsAfter(), '1 2 3 4 5');
  });

  it('moments on either side of a switchover and of a failover are restored', async () => {
    assert.equal(await rowsAfter('--to', behind[2]!), '1 2');
    assert.equal(await rowsAfter('--to', behind[3]!), '1 2 3');
    assert.equal(await rowsAfter('--to', behind[4]!), '1 2 3 4');
  });

  it('what a failover left behind, as the standby never had it, is told and can be restored', async () => {
    const primary = await cluster.primary();
    assert.equal(primary.name, survivor.name);
    await untilKept(primary, await write(primary, 6));
    const { lineages } = await status();
    const child = lineages.find(({ parent }) => parent !== null)!;
    assert.equal(child.parent?.lineage, left);
    assert.equal(await rowsAfter('--lineage', left), '1 2 3 4 5');
    assert.equal(await rowsAfter(), '1 2 3 4 6');
    lastPrimary = primary.name;
    await primary.turnOff();
  });

  it('a whole cluster is made from the repository', async () => {
    await stopStream();
    // The third is only asked for while the key of a leader that was turned off has not run out.
    await cluster.control(['remove', 'shop'], ['shop', 'Yes I am aware', lastPrimary]);
    const node = await cluster.add('d', {
      bootstrap: { method: 'holdfast', holdfast: { command: script, keep_existing_recovery_conf: true } },
    });
    node.start();
    environment.DATABASE_URL = cluster.urlOf('primary');
    const primary = await cluster.primary();
    assert.equal(primary.name, 'd');
    await write(primary, 7);
    // Patroni lets nobody but itself in until it has made the cluster; a receiver that is refused its first login ends, and is started again.
    await cluster.until('a server that lets the receiver in', async () => {
      const { code } = await runHoldfast(['wal', 'stream', '--until', behind[7]!], surroundings);
      return code === 0;
    });
    stream = startHoldfast(['wal', 'stream'], surroundings);
    const server = { host: '127.0.0.1', port: node.port, password: 'only-in-a-test' };
    assert.equal(await rowsOf(server), '1 2 3 4 6 7');
    await untilKept(primary, behind[7]!);
    const [settings] = await primary.query<{ workers: string }>(
      "SELECT current_setting('max_logical_replication_workers') AS workers",
    );
    assert.deepEqual(settings, { workers: '4' }, 'nothing sets it apart any more');
    const { lineages } = await status();
    assert.equal(lineages.length, 2);
    assert.equal(await rowsAfter(), '1 2 3 4 6 7');
  });
});
