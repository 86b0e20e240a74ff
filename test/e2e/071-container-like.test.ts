import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { documentOf, type RunningCommand, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { whyNotDebian } from '../support/debian-packages.ts';
import { copyForEverybody } from '../support/open-copy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { listChildren } from '../support/processes.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';

/**
 * Around the command as around a container: process ids of its own, in which the command is the first; a root file system that is read-only but
 * for one volume; a user without rights; an environment with nothing that is not given. $1 is the volume, and $2 separates what follows.
 */
const container = `
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift 2
exec setpriv --reuid=${nobody.uid} --regid=${nobody.gid} --clear-groups --bounding-set=-all --no-new-privs --pdeathsig=KILL -- env -i PATH=/usr/bin:/bin "$@"
`;

function whyNoNamespaces(): string | false {
  if (runsAsRoot && whyNotDebian() === null) return false;
  const reason = 'namespaces are made by root: run this as root on Debian';
  process.stderr.write(`NOT TRIED AS IN A CONTAINER: ${reason}\n`);
  return reason;
}

describe('as in a container', { skip: whyNoNamespaces() }, () => {
  const stack = new AsyncDisposableStack();
  let scratch: string;
  let volume: string;
  let program: string;
  let server: PostgresServer;

  before(async () => {
    scratch = await makeScratchDirectory('container');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    volume = join(scratch, 'volume');
    await mkdir(volume);
    await chown(volume, nobody.uid, nobody.gid);
    program = await copyForEverybody(join(scratch, 'program'));
    server = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1 }));
    await server.query('CREATE TABLE item AS SELECT n FROM generate_series(1, 1000) n');
  });
  after(() => stack.disposeAsync());

  /** What is put before `bin/holdfast`, which is then left for the copy that everybody can read. */
  function through(settings: Record<string, string>): string[] {
    const isolation = ['unshare', '--pid', '--fork', '--mount-proc', '--mount', '--kill-child=KILL'];
    const variables = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    const copy = ['/bin/sh', '-c', `shift; exec '${program}' "$@"`, 'sh'];
    return [...isolation, '/bin/sh', '-euc', container, 'sh', volume, '--', ...variables, ...copy];
  }

  const settings = () => ({
    DATABASE_URL: server.backupUrl,
    HOLDFAST_REPOSITORY: join(volume, 'repository'),
    HOLDFAST_STATE_DIR: join(volume, 'state'),
    HOLDFAST_KEY_FILE: join(volume, 'key'),
  });
  const run = (...words: string[]) => runHoldfast(words, { through: through(settings()) });

  /** The command itself, by the process id that it has outside. */
  async function firstProcessOf({ child }: RunningCommand): Promise<number> {
    const [pid] = await listChildren(child.pid!);
    return pid!;
  }

  it('makes a repository on the volume, backs up, reads it again and restores', async () => {
    const steps = [
      ['repository', 'init', '--generate-key-file', join(volume, 'key')],
      ['backup', '--checkpoint', 'fast'],
      ['verify'],
      ['restore', '--into', join(volume, 'restored')],
    ];
    for (const words of steps) {
      const { code, stdout, stderr } = await run(...words);
      assert.equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`);
    }
    assert.match(await readFile(join(volume, 'restored/PG_VERSION'), 'utf8'), /^18/);
  });

  it('streams as the first process of a machine, and SIGTERM ends it with all that has come durable', async () => {
    const stream = startHoldfast(['wal', 'stream', '--json'], { through: through(settings()) });
    try {
      await stream.said(/streams timeline/);
      const pid = await firstProcessOf(stream);
      assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^NSpid:\t\d+\t1$/m);
      assert.deepEqual(await listChildren(pid), [], 'no process of its own is left behind, living or dead');
      const [row] = await server.query<{ lsn: string }>(
        'INSERT INTO item VALUES (0); SELECT pg_current_wal_flush_lsn()::text AS lsn',
      );
      await untilReceived(row!.lsn);
      process.kill(pid, 'SIGTERM');
      const ended = await stream.ended;
      assert.equal(ended.code, 130, ended.stderr);
      const { durableLsn } = documentOf<{ durableLsn: string }>(ended);
      const [reached] = await server.query<{ is: boolean }>(`SELECT '${durableLsn}'::pg_lsn >= '${row!.lsn}' AS is`);
      assert.ok(reached!.is, `${durableLsn} is not before ${row!.lsn}`);
    } finally {
      stream.child.kill('SIGKILL');
    }
  });

  it('says what is wrong when there is no place for its state', async () => {
    for (const [setting, place] of [
      ['HOLDFAST_STATE_DIR', '/var/lib/holdfast-nowhere'],
      ['HOME', '/nowhere'],
    ] as const) {
      const { HOLDFAST_STATE_DIR: _left, ...others } = settings();
      const { code, stderr } = await runHoldfast(['backup'], { through: through({ ...others, [setting]: place }) });
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`could not .*"${place}[^"]*"`));
      assert.doesNotMatch(stderr, /unexpected|at .*\.ts:/);
    }
  });

  it('says which repository it may not write to when the volume is missing', async () => {
    const elsewhere = { ...settings(), HOLDFAST_REPOSITORY: join(scratch, 'elsewhere') };
    const { code, stderr } = await runHoldfast(['repository', 'init'], { through: through(elsewhere) });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /read-only|permission|EROFS|EACCES/i);
  });

  async function untilReceived(lsn: string): Promise<void> {
    for (;;) {
      const [row] = await server.query<{ is: boolean | null }>(
        `SELECT sent_lsn >= '${lsn}' AS is FROM pg_stat_replication WHERE application_name = 'holdfast_main'`,
      );
      if (row?.is === true) return;
      await systemClock.sleep(20);
    }
  }
});
