import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/lib/index.ts';
import { formatLsn } from '../../src/postgres/index.ts';
import { MARKER_NAME, type RecoveryTarget } from '../../src/restore/index.ts';
import { serverEnvironment, serverUser } from '../support/cluster-template.ts';
import { describeTree } from '../support/directory-tree.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const RUNNER = fileURLToPath(new URL('../support/restore-runner.ts', import.meta.url));
const owner = runsAsRoot ? { owner: nobody } : {};
const seed = Number(process.env.HOLDFAST_SEED ?? Date.now() % 1_000_000);
/** Kills at moments drawn from the whole length of a delta. */
const kills = Number(process.env.HOLDFAST_KILLS ?? 6);

describe(`a delta that is killed (seed ${seed})`, () => {
  let world: ProtectedServer;
  let fresh: string;
  let into: string;
  let target: RecoveryTarget & { kind: 'lsn' };

  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.server.query(
      "CREATE TABLE big AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) AS n",
    );
    await world.server.query('CHECKPOINT');
    await world.backUp();
    await world.write(3);
    await world.settle();
    const { proposal } = await world.restore({ target: { kind: 'latest' }, ...owner });
    target = { kind: 'lsn', lsn: proposal.target.recordLsn };
    fresh = (await world.restore({ target, ...owner })).proposal.into;
    into = proposal.into;
    await using server = await startPostgres({ major: 18, dataDirectory: into });
    await untilOpen(server);
    await server.query('UPDATE big SET n = n + 1');
    await server.stop();
  });
  after(() => world?.dispose());

  /** Runs a delta in a process of its own. With `afterMs` it is killed then, unless it was quicker; otherwise where it stands still. */
  async function runAndKill(stop: { stopAt?: string; afterSteps?: number; afterMs?: number }): Promise<void> {
    const { path: repositoryPath, stateDirectory } = world.place;
    const given = { repositoryPath, stateDirectory, into, delta: true, lsn: formatLsn(target.lsn), ...stop };
    const runner = spawn(process.execPath, ['--no-warnings', RUNNER, JSON.stringify(given)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      const ended = new Promise<'ended'>((told) => runner.once('exit', () => told('ended')));
      const still = new Promise<'still'>((told) => runner.stdout.on('data', () => told('still')));
      if (stop.afterMs === undefined) {
        assert.equal(await Promise.race([still, ended]), 'still', 'it came to the place where it is killed');
      } else await Promise.race([ended, systemClock.sleep(stop.afterMs)]);
      runner.kill('SIGKILL');
      await ended;
    } finally {
      runner.kill('SIGKILL');
    }
  }

  function whyNotStarted(): string {
    const { binDirectory, socketDirectory } = world.server;
    const { status, stderr } = spawnSync(
      join(binDirectory, 'postgres'),
      ['-D', into, '-k', socketDirectory, '-h', '', '-p', '1', '-c', 'logging_collector=off'],
      { ...serverUser, env: serverEnvironment, cwd: '/', encoding: 'utf8', timeout: 60_000 },
    );
    assert.ok(status !== null && status !== 0, `it ended by itself and with a failure: ${status}\n${stderr}`);
    return stderr;
  }

  function isStartable(): boolean {
    return existsSync(join(into, 'global', 'pg_control'));
  }

  /** Nothing was moved yet, or there is no control file, or all is complete. */
  function assertIntactOrRefused(): void {
    if (!isStartable()) {
      assert.match(whyNotStarted(), /could not (open|find|read|access)|is not a database cluster|contains errors/);
      return;
    }
    const { state, aside } = JSON.parse(readFileSync(join(into, MARKER_NAME), 'utf8'));
    const isUntouched = existsSync(join(into, 'pg_wal')) && !existsSync(join(into, aside.name, 'global', 'pg_control'));
    const isSealed = !existsSync(join(into, 'global', 'pg_control.holdfast-restoring'));
    assert.ok(isUntouched || (isSealed && aside.isComplete), `${state} ${JSON.stringify(aside)}`);
  }

  async function finishAndCompare(): Promise<void> {
    await world.restore({ into, target, delta: true, ...owner });
    const aside = readdirSync(into).filter((name) => name.startsWith('holdfast-replaced-'));
    const without = [MARKER_NAME, 'holdfast-recovery', ...aside];
    const [found, expected] = [await describeTree(into, without), await describeTree(fresh, without)];
    const paths = [...new Set([...found.keys(), ...expected.keys()])];
    assert.deepEqual(
      paths.filter((path) => found.get(path) !== expected.get(path)),
      [],
    );
    // All the WAL that was there is still there.
    const segments = aside.flatMap((name) =>
      existsSync(join(into, name, 'pg_wal')) ? readdirSync(join(into, name, 'pg_wal')) : [],
    );
    assert.ok(segments.includes('00000002.history'), segments.join());
  }

  it('at any moment leaves what was there or what cannot be started, and is finished by the same command', async () => {
    const began = systemClock.monotonic();
    await runAndKill({ stopAt: 'restoring files' });
    const lengthMs = systemClock.monotonic() - began;
    assert.equal(isStartable(), false);
    assert.match(whyNotStarted(), /could not (open|find|read|access)|is not a database cluster|contains errors/);
    await assert.rejects(world.restore({ into, target, ...owner }), {
      code: 'RESTORE_TARGET_NOT_EMPTY',
      message: /a delta was broken off there/,
    });
    const random = seededRandom(seed);
    for (let i = 0; i < kills; i++) {
      await runAndKill({ afterMs: (lengthMs * 1.5 * random.below(1000)) / 1000 });
      assertIntactOrRefused();
    }
    for (const stop of [
      { stopAt: 'restoring files', afterSteps: 40 },
      { stopAt: 'bringing WAL' },
      { stopAt: 'making it durable', afterSteps: 100 },
    ]) {
      if (isStartable()) break;
      await runAndKill(stop);
      assertIntactOrRefused();
    }
    await finishAndCompare();
    await rm(into, { recursive: true });
  });
});
