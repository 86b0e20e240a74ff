import assert from 'node:assert/strict';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { runRestore } from '../../src/restore/index.ts';
import {
  type CommandRun,
  documentOf,
  type RunningCommand,
  runHoldfast,
  startHoldfast,
} from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository as makeOpenRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const HOUR_MS = 3_600_000;

interface ErrorDocument {
  error: { code: string; hints: string[]; retryable: boolean };
}

interface WalStatus {
  lineages: { lineage: string; gaps: { start: string; end: string }[]; runs: { start: string; end: string }[] }[];
}

describe('bad company', () => {
  let server: PostgresServer;
  let proxy: TcpProxy;
  let scratch: string;
  let count = 0;

  before(async () => {
    scratch = await makeScratchDirectory('bad-company');
    server = await startPostgres({
      major: 18,
      walSegmentSizeMb: 1,
      settings: { autovacuum: 'off', wal_keep_size: '512MB' },
    });
    proxy = await startTcpProxy(server.port);
    await server.query('CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, 60000) n');
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** A new repository, and what the commands on it see; the server is reached through the proxy when asked for. */
  async function makeRepository(options: { throughProxy?: boolean } = {}): Promise<Record<string, string>> {
    count += 1;
    const home = join(scratch, `home-${count}`);
    await mkdir(home);
    const url = options.throughProxy
      ? server.backupUrl.replace(`:${server.port}/`, `:${proxy.port}/`)
      : server.backupUrl;
    const environment = {
      DATABASE_URL: url,
      HOLDFAST_REPOSITORY: join(home, 'objects'),
      HOLDFAST_STATE_DIR: join(home, 'state'),
      // The slot is named after it: each repository has its own.
      HOLDFAST_CLUSTER: `shop_${count}`,
    };
    const keyFile = join(home, 'key');
    const created = await runHoldfast(['repository', 'init', '--generate-key-file', keyFile], { environment });
    assert.equal(created.code, 0, created.stderr);
    return { ...environment, HOLDFAST_KEY_FILE: keyFile };
  }

  const backUp = (environment: Record<string, string>) =>
    runHoldfast(['backup', '--checkpoint', 'fast', '--json'], { environment });

  const listed = async (environment: Record<string, string>) =>
    documentOf<{ snapshots: { snapshot: string }[] }>(await runHoldfast(['list', '--json'], { environment })).snapshots;

  const walStatus = async (environment: Record<string, string>) =>
    documentOf<WalStatus>(await runHoldfast(['wal', 'status', '--json'], { environment }));

  async function stop(...streams: RunningCommand[]): Promise<void> {
    for (const { child } of streams) child.kill('SIGTERM');
    await Promise.all(streams.map(({ ended }) => ended));
  }

  /** All that the server has flushed can be restored. */
  async function untilStored(environment: Record<string, string>): Promise<void> {
    const [row] = await server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
    for (let tries = 0; tries < 100; tries++) {
      const words = ['restore', '--dry-run', '--into', join(scratch, 'none'), '--to', row!.lsn, '--json'];
      const run = await runHoldfast(words, { environment });
      if (run.code === 0) return;
      assert.equal(run.code, 2, run.stderr);
    }
    assert.fail(`WAL up to ${row!.lsn} never came`);
  }

  describe('of a network', () => {
    it('that is cut fails a backup with an error that says so, and the next one succeeds', async () => {
      const environment = await makeRepository({ throughProxy: true });
      const before = proxy.received;
      const cut = startHoldfast(['backup', '--checkpoint', 'fast', '--json'], { environment });
      await proxy.passed(before + 8_000_000);
      proxy.cut();
      const failed = await cut.ended;
      const unreachable = await backUp(environment);
      proxy.mend();
      assert.equal(failed.code, 1, failed.stderr);
      const { error } = documentOf<ErrorDocument>(failed);
      assert.match(error.code, /^(PG_CONNECTION|BACKUP_)/, failed.stderr);
      assert.ok(error.retryable && error.hints.length > 0, failed.stderr);

      assert.equal(unreachable.code, 1);
      const { error: refusal } = documentOf<ErrorDocument>(unreachable);
      assert.match(refusal.code, /^PG_CONNECTION_/, unreachable.stderr);
      assert.ok(refusal.hints.length > 0, unreachable.stderr);
      assert.deepEqual(await listed(environment), []);
      const good = await backUp(environment);
      assert.equal(good.code, 0, good.stderr);
    });

    it('that is slow only makes a backup slow', async () => {
      const environment = await makeRepository({ throughProxy: true });
      proxy.limit(20_000_000);
      try {
        const slow = await backUp(environment);
        assert.equal(slow.code, 0, slow.stderr);
      } finally {
        proxy.limit(null);
      }
      const verified = await runHoldfast(['verify', '--all', '--json'], { environment });
      assert.equal(verified.code, 0, verified.stdout);
    });

    it('that is cut and mended leaves no gap in a stream of WAL', async () => {
      const environment = await makeRepository({ throughProxy: true });
      assert.equal((await backUp(environment)).code, 0);
      const stream = startHoldfast(['wal', 'stream', '--events'], { environment });
      try {
        await stream.said(/"kind":"state","state":"streaming"/);
        const connections = proxy.connections;
        for (let round = 0; round < 3; round++) {
          proxy.cut();
          await server.query(
            "SELECT pg_logical_emit_message(true, 'cut', repeat('x', 900000)); SELECT pg_switch_wal()",
          );
          proxy.mend();
          await untilStored(environment);
        }
        assert.ok(proxy.connections >= connections + 3);
      } finally {
        await stop(stream);
      }
      const [lineage, ...others] = (await walStatus(environment)).lineages;
      assert.deepEqual(others, []);
      // One of the backup that came before, one of the stream.
      assert.ok(lineage!.runs.length <= 2, JSON.stringify(lineage!.runs));
    });
  });

  describe('of other commands', () => {
    it('two backups at once both succeed, and each is whole', async () => {
      const environment = await makeRepository();
      const runs = await Promise.all([backUp(environment), backUp(environment)]);
      for (const run of runs) assert.equal(run.code, 0, run.stderr);
      assert.equal((await listed(environment)).length, 2);
      const verified = await runHoldfast(['verify', '--all', '--json'], { environment });
      assert.equal(verified.code, 0, verified.stdout);
    });

    it('a verification beside a backup finds nothing wrong', async () => {
      const environment = await makeRepository();
      assert.equal((await backUp(environment)).code, 0);
      const [backup, verified] = await Promise.all([
        backUp(environment),
        runHoldfast(['verify', '--all', '--json'], { environment }),
      ]);
      assert.equal(backup.code, 0, backup.stderr);
      assert.equal(verified.code, 0, verified.stdout);
    });

    it('a second stream of WAL of the same cluster is told of the first, which goes on', async () => {
      const environment = await makeRepository();
      assert.equal((await backUp(environment)).code, 0);
      const first = startHoldfast(['wal', 'stream', '--events'], { environment });
      const other = { ...environment, HOLDFAST_STATE_DIR: `${environment.HOLDFAST_STATE_DIR}-other` };
      let second: RunningCommand | undefined;
      try {
        await first.said(/"kind":"state","state":"streaming"/);
        second = startHoldfast(['wal', 'stream', '--events'], { environment: other });
        await second.said(/is active|in use|another receiver/);
        await server.query("SELECT pg_logical_emit_message(true, 'two', repeat('x', 900000)); SELECT pg_switch_wal()");
        await untilStored(environment);
        assert.equal(first.child.exitCode, null, 'the first has ended');
      } finally {
        await stop(first, ...(second === undefined ? [] : [second]));
      }
      assert.equal((await walStatus(environment)).lineages.length, 1);
    });
  });

  describe('of an archive with a hole', () => {
    let environment: Record<string, string>;
    let behind: string;

    before(async () => {
      environment = await makeRepository();
      assert.equal((await backUp(environment)).code, 0);
      const stream = startHoldfast(['wal', 'stream', '--events'], { environment });
      try {
        await stream.said(/"kind":"state","state":"streaming"/);
        for (let segment = 0; segment < 5; segment++) {
          await server.query(
            "SELECT pg_logical_emit_message(true, 'hole', repeat('x', 900000)); SELECT pg_switch_wal()",
          );
        }
        const [row] = await server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
        behind = row!.lsn;
        await untilStored(environment);
      } finally {
        await stop(stream);
      }
      const segments = (await readdir(environment.HOLDFAST_REPOSITORY!, { recursive: true }))
        .filter((path) => /\/segments\/.*[0-9A-F]{24}$/.test(path))
        .sort();
      assert.ok(segments.length >= 4, segments.join(' '));
      await rm(join(environment.HOLDFAST_REPOSITORY!, segments.at(-3)!), { force: true });
    });

    const assertUnreachable = (run: CommandRun) => {
      assert.equal(run.code, 2, run.stderr);
      const { error } = documentOf<ErrorDocument>(run);
      assert.equal(error.code, 'RESTORE_TARGET_UNREACHABLE');
      assert.ok(error.hints.length > 0);
    };

    it('names the gap in every overview', async () => {
      const [lineage] = (await walStatus(environment)).lineages;
      assert.equal(lineage!.gaps.length, 1);
      const status = await runHoldfast(['status', '--json'], { environment });
      assert.equal(status.code, 3, status.stdout);
      assert.match(status.stdout, /gap/);
    });

    it('restores nothing behind it, says what lies there, and comes back to the moment before it', async () => {
      const restore = (...words: string[]) =>
        runHoldfast(['restore', '--dry-run', '--into', join(scratch, 'hole'), ...words, '--json'], { environment });
      assertUnreachable(await restore('--to', behind));
      const latest = await restore();
      assert.equal(latest.code, 0, latest.stderr);
      const { proposal } = documentOf<{ proposal: { warnings: string[] } }>(latest);
      assert.match(proposal.warnings.join('\n'), /WAL is missing from \S+ to \S+/);
    });
  });

  it('of a clock that is set back: what is newest is still restored', async () => {
    const place = await makeOpenRepository(join(scratch), 'stepped');
    let stepped = 0;
    const clock = {
      ...systemClock,
      now: () => systemClock.now() - stepped,
      sleep: systemClock.sleep.bind(systemClock),
      monotonic: systemClock.monotonic.bind(systemClock),
    };
    const common = { ...place, clock, cluster: 'main', progress: silentProgress };
    const source = targetOf(server.backupSocketUrl);
    await runBackup({ ...common, source, checkpoint: 'fast' });
    stepped = HOUR_MS;
    await server.query('CREATE TABLE made_after_the_step AS SELECT 1 AS n');
    const { snapshot } = await runBackup({ ...common, source, checkpoint: 'fast' });
    const into = join(scratch, 'after-the-step');
    const { proposal } = await runRestore({ ...place, clock, into, target: { kind: 'latest' } });
    assert.equal(proposal.snapshot.id, snapshot.id, 'the backup of before the step was taken for the newer one');
    await place.repository.close();
  });
});
