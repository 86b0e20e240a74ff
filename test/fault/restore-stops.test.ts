import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MARKER_NAME } from '../../src/restore/index.ts';
import { serverEnvironment, serverUser } from '../support/cluster-template.ts';
import { startPostgres } from '../support/postgres-server.ts';
import {
  historyOf,
  type ProtectedServer,
  rowsUpTo,
  startProtectedServer,
  untilOpen,
} from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const RUNNER = fileURLToPath(new URL('../support/restore-runner.ts', import.meta.url));
const owner = runsAsRoot ? { owner: nobody } : {};
const rows = 6;

describe('a restore that is killed', () => {
  let world: ProtectedServer;
  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.backUp();
    await world.write(rows);
    await world.settle();
  });
  after(() => world?.dispose());

  /** Runs a restore in a process of its own, which stops at a place and is killed there. Gives what its stage had counted by then. */
  async function killRestore(
    into: string,
    stop: { stopAt: string; afterSteps?: number; binDirectory?: string },
    meanwhile: () => Promise<void> = async () => {},
  ) {
    const { path: repositoryPath, stateDirectory } = world.place;
    const runner = spawn(
      process.execPath,
      ['--no-warnings', RUNNER, JSON.stringify({ repositoryPath, stateDirectory, into, ...stop })],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    try {
      const ended = new Promise<'ended'>((told) => runner.once('exit', () => told('ended')));
      const still = new Promise<string>((told) => runner.stdout.on('data', (said) => told(String(said))));
      const said = await Promise.race([still, ended]);
      assert.notEqual(said, 'ended', 'it came to the place where it is killed');
      await meanwhile();
      runner.kill('SIGKILL');
      await ended;
      return (JSON.parse(said) as { counted: number }).counted;
    } finally {
      runner.kill('SIGKILL');
    }
  }

  /** The segments that a restore has brought, in order, each with the number of its file. */
  function listSegments(into: string) {
    const ready = join(into, 'holdfast-recovery', 'wal');
    const names = readdirSync(ready).filter((name) => /^[0-9A-F]{24}$/.test(name));
    return names.sort().map((name) => ({ name, inode: statSync(join(ready, name)).ino }));
  }

  /** Starts a server on the directory as it is, and gives what it says when it ends by itself. */
  function whyNotStarted(dataDirectory: string): string {
    const { binDirectory, socketDirectory } = world.server;
    const { status, stderr } = spawnSync(
      join(binDirectory, 'postgres'),
      ['-D', dataDirectory, '-k', socketDirectory, '-h', '', '-p', '1', '-c', 'logging_collector=off'],
      { ...serverUser, env: serverEnvironment, cwd: '/', encoding: 'utf8', timeout: 60_000 },
    );
    assert.ok(status !== null && status !== 0, `it ended by itself and with a failure: ${status}\n${stderr}`);
    return stderr;
  }

  it('keeps others out of its directory as long as it lives, and nobody once it is dead', async () => {
    const into = join(world.scratch, 'held');
    const restore = () => world.restore({ target: { kind: 'latest' }, into, ...owner });
    await killRestore(into, { stopAt: 'restoring files', afterSteps: 1 }, async () => {
      const before = readdirSync(into).sort();
      await assert.rejects(restore(), {
        code: 'RESTORE_TARGET_BUSY',
        detail: /^Process [0-9]+ is restoring into it\.$/,
      });
      assert.deepEqual(readdirSync(into).sort(), before);
    });
    // Of two that come at once one goes on at most; what a dead one left hinders neither.
    const both = await Promise.allSettled([restore(), restore()]);
    const refused = both.flatMap((one) => (one.status === 'rejected' ? [one.reason as { code: string }] : []));
    assert.ok(refused.length >= 1 && refused.every(({ code }) => code === 'RESTORE_TARGET_BUSY'), String(refused[0]));
    if (refused.length === 2) await restore();
    assert.deepEqual(
      readdirSync(into).filter((name) => name.startsWith(`${MARKER_NAME}.`)),
      [],
    );
    await using server = await startPostgres({ major: 18, dataDirectory: into });
    await untilOpen(server);
    const [row] = await server.query<{ rows: number }>('SELECT count(*)::int AS rows FROM history');
    assert.equal(row!.rows, rows);
  });

  for (const stop of [
    { stopAt: 'restoring files' },
    { stopAt: 'restoring files', afterSteps: 2 },
    { stopAt: 'bringing WAL' },
    { stopAt: 'bringing WAL', afterSteps: 1 },
    { stopAt: 'making it durable' },
    { stopAt: 'making it durable', afterSteps: 300 },
  ]) {
    const where = `${stop.stopAt}${stop.afterSteps === undefined ? '' : `, midway`}`;
    it(`while ${where} leaves what cannot be started, and is begun again by the same command`, async () => {
      const into = join(world.scratch, `killed-${where.replaceAll(/\W+/g, '-')}`);
      await killRestore(into, stop);
      assert.ok(existsSync(join(into, MARKER_NAME)));
      assert.equal(existsSync(join(into, 'global', 'pg_control')), false);
      assert.match(
        whyNotStarted(into),
        /could not (open|find|read|access)|is not a database cluster|configuration file .* contains errors/,
      );

      const { binDirectory } = world.server;
      const again = await world.restore({ into, target: { kind: 'latest' }, start: { binDirectory }, ...owner });
      try {
        assert.equal(await historyOf(again.instance!.instance), rowsUpTo(rows));
      } finally {
        await again.instance!.stop();
      }
      await assert.rejects(world.restore({ into, target: { kind: 'latest' } }), { code: 'RESTORE_TARGET_NOT_EMPTY' });
    });
  }

  for (const stop of [{ stopAt: 'restoring files', afterSteps: 1 }, { stopAt: 'making it durable' }]) {
    it(`while ${stop.stopAt} fetches and writes nothing twice that was written, and leaves nothing else there`, async () => {
      const into = join(world.scratch, `gone-on-${stop.stopAt.replaceAll(/\W+/g, '-')}`);
      const counted = await killRestore(into, stop);
      // What a server of another time, or a restore of another snapshot, had among its files.
      await writeFile(join(into, 'base', '1', '999999'), 'not of this backup');
      const [first] = readdirSync(into).includes('holdfast-recovery') ? listSegments(into) : [];
      const again = await world.restore({ into, target: { kind: 'latest' }, ...owner });
      // Renamed into its place anew, it would have another number.
      if (first !== undefined) assert.deepEqual(listSegments(into)[0], first);
      else assert.equal(stop.stopAt, 'restoring files');
      const { reusedBytes, writtenBytes, fetchedBytes } = again.reuse!;
      assert.equal(existsSync(join(into, 'base', '1', '999999')), false);
      if (stop.stopAt === 'restoring files') {
        assert.ok(counted > 0 && reusedBytes >= counted, `${reusedBytes} bytes were used again of ${counted}`);
        const sums = `${reusedBytes} bytes used again and ${writtenBytes} written of ${again.bytes}`;
        assert.ok(writtenBytes > 0 && reusedBytes + writtenBytes <= again.bytes, sums);
      } else assert.deepEqual([writtenBytes, fetchedBytes], [0, 0]);
      await using server = await startPostgres({ major: 18, dataDirectory: into });
      await untilOpen(server);
      assert.deepEqual(await server.query('SELECT count(*)::int AS rows FROM history'), [{ rows }]);
    });
  }

  it('does not touch a file that somebody put beside the unfinished ones', async () => {
    const into = join(world.scratch, 'killed-with-a-guest');
    await killRestore(into, { stopAt: 'bringing WAL' });
    await writeFile(join(into, 'guest'), 'mine');
    const found = readdirSync(into);
    await assert.rejects(world.restore({ into, target: { kind: 'latest' }, ...owner }), {
      code: 'RESTORE_TARGET_NOT_EMPTY',
      detail: 'Expected an empty directory or none, found "guest".',
    });
    assert.deepEqual(readdirSync(into), found);
  });

  it('before its server was started leaves a directory that refuses to start without WAL', async () => {
    const into = join(world.scratch, 'killed-before-start');
    await killRestore(into, { stopAt: 'replaying WAL', binDirectory: world.server.binDirectory });
    assert.match(whyNotStarted(into), /must specify "?restore_command"?/);
    await assert.rejects(world.restore({ into, target: { kind: 'latest' } }), { code: 'RESTORE_TARGET_NOT_EMPTY' });
  });

  it('at no time harms a restore without a start: once complete, it recovers by itself', async () => {
    const { proposal } = await world.restore({ target: { kind: 'latest' }, ...owner });
    await using server = await startPostgres({ major: 18, dataDirectory: proposal.into });
    await untilOpen(server);
    assert.deepEqual(await server.query('SELECT count(*)::int AS rows FROM history'), [{ rows }]);
  });
});
