import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandRun, documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { loseSlot } from '../support/lose-slot.ts';
import type { PostgresMajor } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';

interface SetupDocument {
  proven: boolean;
  proposal: {
    settings: { name: string; to: string }[];
    role: object | null;
    slot: object | null;
    needsRestart: boolean;
  };
  done: string[];
  whyNotProven: string | null;
  waitsFor: { kind: string; text: string }[];
  arrival: { segment: string; way: string; lineage: string | null } | null;
  undo: { kind: string; text: string }[];
}

/** pg_hba.conf as many servers have it: nobody is let in for replication. */
const hbaWithoutReplication = 'local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n';

/** A repository, a state directory and what a command has to know of them. */
async function makePlace(directory: string, url: string) {
  await mkdir(directory);
  const environment: Record<string, string> = {
    DATABASE_URL: url,
    HOLDFAST_REPOSITORY: join(directory, 'objects'),
    HOLDFAST_STATE_DIR: join(directory, 'state'),
    HOLDFAST_CLUSTER: 'shop',
    HOLDFAST_KEY_FILE: join(directory, 'key'),
  };
  const { HOLDFAST_KEY_FILE: key, ...others } = environment;
  const created = await runHoldfast(['repository', 'init', '--generate-key-file', key!], { environment: others });
  assert.equal(created.code, 0, created.stderr);
  return environment;
}

for (const major of [14, 18] as const satisfies readonly PostgresMajor[]) {
  describe(`PostgreSQL ${major} that nobody has prepared`, () => {
    let server: PostgresServer;
    let scratch: string;
    let environment: Record<string, string>;
    let passwordFile: string;
    let includeFile: string;
    let words: string[];

    before(async () => {
      scratch = await makeScratchDirectory(`database-setup-${major}`);
      const settings = { wal_level: 'minimal', max_wal_senders: '0', max_replication_slots: '0' };
      server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      await writeFile(join(server.dataDirectory, 'pg_hba.conf'), hbaWithoutReplication);
      includeFile = join(server.dataDirectory, 'holdfast.conf');
      await appendFile(join(server.dataDirectory, 'postgresql.conf'), "include_if_exists = 'holdfast.conf'\n");
      await server.query('SELECT pg_reload_conf()');
      environment = await makePlace(join(scratch, 'place'), server.url);
      passwordFile = join(scratch, 'pgpass');
      words = ['database', 'setup', '--role', 'holdfast', '--write-password', passwordFile, '--write-hba'];
      // By either way of writing settings down.
      if (major === 18) words.push('--include-file', includeFile);
    });
    after(async () => {
      await server?.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    const said: string[] = [];
    async function setUp(...more: string[]): Promise<CommandRun & { document: SetupDocument }> {
      const run = await runHoldfast([...words, ...more, '--json'], { environment });
      said.push(run.stdout, run.stderr);
      return { ...run, document: documentOf<SetupDocument>(run) };
    }

    it('is shown what is missing and left as it is until somebody agrees', async () => {
      const dry = await setUp('--dry-run');
      assert.equal(dry.code, 0, dry.stderr);
      assert.deepEqual(
        dry.document.proposal.settings.map(({ name, to }) => `${name} = ${to}`),
        [
          ...['wal_level = replica', 'max_wal_senders = 3', 'max_replication_slots = 2'],
          'max_slot_wal_keep_size = 4096MB',
          ...(major >= 17 ? ['summarize_wal = on'] : []),
        ],
      );
      const refused = await setUp();
      assert.equal(refused.code, 4);
      assert.match(refused.stderr, /--yes/);
      assert.deepEqual(await server.query("SELECT 1 FROM pg_roles WHERE rolname = 'holdfast'"), []);
      assert.deepEqual(await server.query('SELECT 1 FROM pg_settings WHERE pending_restart'), []);
      assert.ok(!existsSync(passwordFile) && !existsSync(includeFile));
    });

    it('is told which settings wait for a restart, and is not called set up before it', async () => {
      const { code, document } = await setUp('--yes');
      assert.equal(code, 3);
      assert.equal(document.proven, false);
      assert.match(document.whyNotProven ?? '', /wal_level, max_wal_senders, max_replication_slots .* after a restart/);
      assert.ok(document.waitsFor.some(({ text }) => text.includes(server.dataDirectory)));
      const waiting = await server.query<{ name: string }>(
        'SELECT name FROM pg_settings WHERE pending_restart ORDER BY 1',
      );
      assert.deepEqual(
        waiting.map(({ name }) => name),
        ['max_replication_slots', 'max_wal_senders', 'wal_level'],
      );
      const [limit] = await server.query("SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'");
      assert.deepEqual(limit, { setting: '4096' });
      const again = await setUp('--yes');
      assert.deepEqual([again.code, again.document.done], [3, []]);
    });

    it('restarts with the command that it is given, and is set up when a switched segment has arrived', async () => {
      // The server belongs to the test, so the command asks the test to restart it.
      const wish = join(scratch, 'restart-please');
      const restarting = (async () => {
        while (!existsSync(wish)) await delay(20);
        await server.restart();
        await rm(wish);
      })();
      const { code, document, stderr } = await setUp(
        ...['--yes', '--restart-command', `touch ${wish}; while [ -e ${wish} ]; do sleep 0.05; done`],
      );
      await restarting;
      assert.equal(code, 0, `${stderr}\n${document.whyNotProven}`);
      assert.equal(document.proven, true);
      assert.equal(document.arrival?.way, 'own-receiver');
      assert.ok(existsSync(join(environment.HOLDFAST_REPOSITORY!, 'wal')));
      assert.deepEqual(await server.query('SELECT 1 FROM pg_settings WHERE pending_restart'), []);
      const [slot] = await server.query('SELECT slot_name, wal_status FROM pg_replication_slots');
      assert.deepEqual(slot, { slot_name: 'holdfast_shop', wal_status: 'reserved' });
    });

    it('has a role of the least rights, whose password is in its file and nowhere else', async () => {
      const [role] = await server.query(
        `SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolcanlogin FROM pg_roles WHERE rolname = 'holdfast'`,
      );
      assert.deepEqual(role, {
        ...{ rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolbypassrls: false },
        ...{ rolreplication: true, rolcanlogin: true },
      });
      assert.equal((await stat(passwordFile)).mode & 0o777, 0o600);
      const [line] = (await readFile(passwordFile, 'utf8')).split('\n');
      const [, password] = /^127\.0\.0\.1:\d+:\*:holdfast:([\w-]{32})$/.exec(line!) ?? [];
      assert.ok(password !== undefined, 'the line is as libpq reads it');
      for (const text of [...said, await server.logText()]) assert.ok(!text.includes(password));
      assert.match(
        await server
          .query<{ p: string }>("SELECT rolpassword AS p FROM pg_authid WHERE rolname = 'holdfast'")
          .then(([row]) => row!.p),
        /^SCRAM-SHA-256\$4096:/,
      );
    });

    it('can be backed up and streamed over that role, and the doctor finds no problem', async () => {
      const url = `postgresql://holdfast@127.0.0.1:${server.port}/postgres`;
      const own = { ...environment, DATABASE_URL: url, PGPASSFILE: passwordFile };
      const stream = startHoldfast(['wal', 'stream', '--events'], { environment: own });
      try {
        await stream.said(/"state":"streaming"/);
        const backup = await runHoldfast(['backup', '--checkpoint', 'fast'], { environment: own });
        assert.equal(backup.code, 0, backup.stderr);
        const found = await runHoldfast(['doctor', '--json'], { environment: own });
        const { checks } = documentOf<{ checks: { verdict: string; code: string; sentence: string }[] }>(found);
        assert.deepEqual(
          checks.filter(({ verdict }) => verdict === 'problem').map(({ sentence }) => sentence),
          [],
        );
        assert.equal(found.code, 0, found.stderr);
        const again = await setUp('--yes');
        assert.deepEqual([again.code, again.document.arrival?.way], [0, 'receiver'], again.document.whyNotProven ?? '');
      } finally {
        stream.child.kill('SIGTERM');
        await stream.ended;
      }
    });

    it('is left alone by a second set-up: nothing is missing, and the files are the same byte for byte', async () => {
      const files = [
        passwordFile,
        join(server.dataDirectory, 'pg_hba.conf'),
        join(server.dataDirectory, 'postgresql.auto.conf'),
      ];
      if (major === 18) files.push(includeFile);
      const read = () => Promise.all(files.map((file) => readFile(file, 'utf8')));
      const before = await read();
      const { code, document } = await setUp('--yes');
      assert.equal(code, 0, document.whyNotProven ?? '');
      assert.deepEqual(
        [document.done, document.proposal.settings, document.proposal.role, document.proposal.slot],
        [[], [], null, null],
      );
      assert.deepEqual(await read(), before);
      assert.match(before[1]!, /^# --- begin of what/);
      if (major === 18) assert.match(before[3]!, /wal_level = 'replica'/);
    });

    it('makes the slot anew that the server had given up, and says so', async () => {
      await server.query("SELECT pg_drop_replication_slot('holdfast_shop')");
      await server.query("SELECT pg_create_physical_replication_slot('holdfast_shop', true)");
      await loseSlot(server);
      const { code, document } = await setUp('--yes');
      assert.equal(code, 0, document.whyNotProven ?? '');
      assert.deepEqual(document.done, ['made the slot anew that the server had given up: "holdfast_shop"']);
      await server.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
      await server.query('SELECT pg_reload_conf()');
    });

    it('that breaks off names what was done, and the same set-up goes on from there', async () => {
      await server.query("SELECT pg_drop_replication_slot('holdfast_shop')");
      await server.query("SELECT pg_create_physical_replication_slot('first_' || i) FROM generate_series(1, 2) i");
      const { code, stderr } = await setUp('--yes', '--restart-command', 'exit 7');
      assert.equal(code, 1);
      assert.match(stderr, /could not finish the set-up: could not restart the server/);
      assert.match(
        stderr,
        major === 18 ? /wrote max_wal_senders, max_replication_slots into/ : /set max_wal_senders to/,
      );
      await server.restart();
      const again = await setUp('--yes');
      assert.equal(again.code, 0, again.document.whyNotProven ?? again.stderr);
      assert.deepEqual(again.document.done, ['made the slot "holdfast_shop"']);
      await server.query("SELECT pg_drop_replication_slot('first_' || i) FROM generate_series(1, 2) i");
    });
  });
}

describe('a server that is set up', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('database-setup');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  it('by somebody without the rights is not touched, and prints what another can run as it is', async () => {
    const environment = await makePlace(join(scratch, 'rights'), server.backupUrl);
    const refused = await runHoldfast(['database', 'setup', '--yes'], { environment });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /no superuser/);
    const printed = await runHoldfast(['database', 'setup', '--role', 'keeper', '--print-sql'], { environment });
    assert.equal(printed.code, 0, printed.stderr);
    const statements = printed.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('--'));
    assert.ok(statements.includes('CREATE ROLE keeper LOGIN REPLICATION;'));
    for (const statement of statements) await server.query(statement);
    const again = await runHoldfast(['database', 'setup', '--role', 'keeper', '--print-sql'], { environment });
    assert.equal(again.stdout.trim(), '');
  });

  it('lets a role read directly when that is wanted, in the database to which it connects, and takes it back', async () => {
    await server.query('CREATE DATABASE shop');
    await server.query('CREATE ROLE reader LOGIN REPLICATION');
    const { port } = server;
    const environment = {
      ...(await makePlace(join(scratch, 'direct'), `postgresql://reader@127.0.0.1:${port}/shop`)),
      HOLDFAST_ADMIN_URL: server.url,
    };
    const mayStart = async (database: string) => {
      const sql = "SELECT has_function_privilege('reader', 'pg_backup_start(text, boolean)', 'EXECUTE') AS may";
      return (await server.query<{ may: boolean }>(sql, database))[0]!.may;
    };
    type DirectDocument = { proposal: { direct: { role: string; database: string; statements: string[] } | null } };
    const setUp = async (...words: string[]) => {
      const run = await runHoldfast(['database', 'setup', '--json', ...words], { environment });
      return { ...run, document: documentOf<SetupDocument & DirectDocument>(run) };
    };
    assert.equal((await setUp('--dry-run')).document.proposal.direct, null, 'nobody asked for it');
    const wanted = await setUp('--direct', '--dry-run');
    assert.deepEqual(wanted.document.proposal.direct, {
      ...{ role: 'reader', database: 'shop' },
      statements: [
        'GRANT pg_monitor TO reader;',
        'GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO reader;',
      ],
    });
    assert.equal(await mayStart('shop'), false);

    const { code, document, stderr } = await setUp('--direct', '--yes');
    // It has no password, so it cannot be seen to get in.
    assert.equal(code, 3, stderr);
    assert.ok(document.done.includes('let "reader" read directly'), document.done.join());
    assert.deepEqual([await mayStart('shop'), await mayStart('postgres')], [true, false]);
    assert.equal((await setUp('--direct', '--dry-run')).document.proposal.direct, null);

    let database = 'postgres';
    for (const { text } of document.undo) {
      const elsewhere = /^\\connect (\w+)$/.exec(text)?.[1];
      if (elsewhere === undefined) await server.query(text, database);
      else database = elsewhere;
    }
    assert.equal(await mayStart('shop'), false);
    await server.query('DROP ROLE reader');
  });

  it('goes back to what it was by what the set-up printed', async () => {
    const environment = await makePlace(join(scratch, 'undo'), server.url);
    const own = { ...environment, HOLDFAST_CLUSTER: 'undone' };
    const settings = () =>
      server.query("SELECT name, setting FROM pg_settings WHERE name ~ 'max_(wal|slot|repl)' ORDER BY 1");
    await server.query('ALTER SYSTEM RESET ALL');
    await server.query('SELECT pg_reload_conf()');
    await delay(300);
    const before = await settings();
    const run = await runHoldfast(['database', 'setup', '--role', 'Undone Role', '--yes', '--json'], {
      environment: own,
    });
    const { undo, whyNotProven } = documentOf<SetupDocument>(run);
    // Nobody gave the role a password, so it cannot be seen to get in.
    assert.equal(run.code, 3, run.stderr);
    assert.match(whyNotProven ?? '', /not let in/);
    for (const { text } of undo) await server.query(text);
    await delay(300);
    assert.deepEqual(await settings(), before);
    assert.deepEqual(await server.query("SELECT 1 FROM pg_roles WHERE rolname = 'Undone Role'"), []);
    assert.deepEqual(await server.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = 'holdfast_undone'"), []);
  });

  it('is told when something that counts more has the settings, and what that is', async () => {
    const environment = await makePlace(join(scratch, 'force'), server.url);
    await server.query("ALTER SYSTEM SET max_slot_wal_keep_size = '-1'");
    await server.query('SELECT pg_reload_conf()');
    await delay(300);
    const file = join(scratch, 'nobody-includes.conf');
    const run = await runHoldfast(['database', 'setup', '--include-file', file, '--yes', '--cluster', 'force'], {
      environment,
    });
    assert.equal(run.code, 1);
    assert.match(
      run.stderr,
      /max_slot_wal_keep_size is "-1" \(from .*postgresql\.auto\.conf:\d+\) instead of "4096MB"/,
    );
    assert.match(run.stderr, /include_if_exists = '.*nobody-includes\.conf'/);
  });

  it('is left as it was, and starts again, when only a part of the settings could be put in force', async () => {
    await using other = await startPostgres({ major: 18 });
    const file = join(other.dataDirectory, 'holdfast.conf');
    await appendFile(join(other.dataDirectory, 'postgresql.conf'), "include_if_exists = 'holdfast.conf'\n");
    // They count more than the file: with archive_mode from there, and these from here, no server starts.
    await other.query("ALTER SYSTEM SET wal_level = 'minimal'");
    await other.query('ALTER SYSTEM SET max_wal_senders = 0');
    await other.restart();
    const environment = await makePlace(join(scratch, 'half'), other.url);
    const run = await runHoldfast(['database', 'setup', '--include-file', file, '--archive', '--yes'], { environment });
    assert.equal(run.code, 1);
    assert.match(run.stderr, /took the settings back/);
    assert.equal(await readFile(file, 'utf8'), '');
    await other.restart();
    assert.deepEqual(await other.query('SHOW archive_mode'), [{ archive_mode: 'off' }]);
  });

  it('keeps the archive_command of somebody else unless it may replace it', async () => {
    const environment = await makePlace(join(scratch, 'taken'), server.url);
    await server.query("ALTER SYSTEM SET archive_command = 'aws s3 cp %p s3://wishcraft-wal-archive/%f'");
    await server.query('SELECT pg_reload_conf()');
    await delay(300);
    const refused = await runHoldfast(['database', 'setup', '--archive', '--yes'], { environment });
    assert.equal(refused.code, 4);
    assert.match(refused.stderr, /--replace-archive-command/);
    const proposed = await runHoldfast(['database', 'setup', '--archive', '--replace-archive-command', '--print-sql'], {
      environment,
    });
    assert.match(proposed.stdout, /ALTER SYSTEM SET archive_mode = 'on';/);
    assert.match(proposed.stdout, /ALTER SYSTEM SET archive_command = '\S+\/bin\/holdfast wal push "%p" --repository/);
    assert.match(proposed.stdout, /ALTER SYSTEM SET archive_timeout = '60s';/);
    const { HOLDFAST_KEY_FILE: _, ...keyless } = environment;
    const passphraseOnly = { ...keyless, HOLDFAST_PASSPHRASE: 'only here' } as Record<string, string>;
    const usage = await runHoldfast(['database', 'setup', '--archive', '--print-sql'], { environment: passphraseOnly });
    assert.equal(usage.code, 2);
    await server.query('ALTER SYSTEM RESET archive_command');
  });

  it('is not called set up while the archive is broken, and is once it is mended', async () => {
    const directory = join(scratch, 'archive');
    const environment = await makePlace(directory, server.url);
    const words = ['database', 'setup', '--archive', '--yes', '--json', '--cluster', 'archived'];
    const first = await runHoldfast(words, { environment });
    assert.equal(first.code, 3, first.stderr);
    await server.restart();
    // The server runs the command as its own user, who may not come near the repository yet.
    await chmod(directory, 0o700);
    await server.query("SELECT pg_stat_reset_shared('archiver')");
    const broken = await runHoldfast([...words, '--wait', '10s'], { environment });
    if (runsAsRoot) {
      assert.equal(broken.code, 3, broken.stderr);
      assert.match(documentOf<SetupDocument>(broken).whyNotProven ?? '', /has not arrived in the repository/);
      const found = await runHoldfast(['doctor', '--json', '--cluster', 'archived'], { environment });
      const { checks } = documentOf<{ checks: { code: string; verdict: string }[] }>(found);
      assert.equal(checks.find(({ code }) => code === 'archiving')?.verdict, 'problem');
      await chmod(directory, 0o755);
      execFileSync('chown', ['-R', `${nobody.uid}:${nobody.gid}`, directory]);
      await chown(directory, nobody.uid, nobody.gid);
    }
    const { code, document, stderr } = await runHoldfast([...words, '--wait', '90s'], { environment }).then((run) => ({
      ...run,
      document: documentOf<SetupDocument>(run),
    }));
    assert.equal(code, 0, `${stderr}\n${document.whyNotProven}\n${(await server.logText()).slice(-3000)}`);
    assert.equal(document.arrival?.way, 'archive');
    const again = await runHoldfast(
      words.filter((word) => word !== '--json'),
      { environment },
    );
    assert.match(again.stdout, /No receiver runs, and the slot keeps WAL/, again.stderr);
  });
});
