import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HoldfastError, systemClock } from '../../src/lib/index.ts';
import { parseConnectionString } from '../../src/postgres/index.ts';
import { openDiskStore } from '../../src/repository/index.ts';
import { type DoctorOptions, runDoctor } from '../../src/watch/index.ts';
import { documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { loseSlot } from '../support/lose-slot.ts';
import type { PostgresMajor } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory, runsAsRoot } from '../support/scratch.ts';

interface Check {
  area: string;
  code: string;
  verdict: 'ok' | 'warning' | 'problem' | 'unseen';
  sentence: string;
  found: string | null;
  mends: { kind: 'sql' | 'shell' | 'advice'; text: string }[];
}

interface DoctorDocument {
  well: boolean;
  counts: Record<Check['verdict'], number>;
  checks: Check[];
}

type Environment = Readonly<Record<string, string>>;

/** The doctor in this process; `changes` for a clock or a store of the test's own. */
async function examine(environment: Environment, changes: Partial<DoctorOptions> = {}) {
  const { HOLDFAST_REPOSITORY: directory, HOLDFAST_KEY_FILE: key, DATABASE_URL: url } = environment;
  const { checks, outcome } = await runDoctor({
    ...{ clock: systemClock, cluster: 'shop', defaultCluster: 'main', passphraseFile: null },
    source: url === undefined ? null : parseConnectionString(url, { variables: environment }),
    store: directory === undefined ? null : { store: openDiskStore(directory), directory },
    credential: key === undefined ? null : { kind: 'key-file', path: key },
    ...{ copies: [], places: [{ name: 'primary', isHere: true }] },
    stateDirectory: environment.HOLDFAST_STATE_DIR!,
    ...changes,
  });
  const find = (code: string) => checks.find((check) => check.code === code);
  return {
    ...{ checks, outcome },
    verdictOf: (code: string) => find(code)?.verdict,
    mendsOf: (code: string) => find(code)?.mends ?? [],
    foundOf: (code: string) => find(code)?.found ?? '',
  };
}

/** The command itself, as a person runs it. */
async function examineByCommand(environment: Environment, ...more: string[]) {
  const run = await runHoldfast(['doctor', '--json', ...more], { environment });
  return { ...run, document: documentOf<DoctorDocument>(run) };
}

const environmentOf = (environment: Environment): Environment => environment;

async function makeRepository(home: string): Promise<Environment> {
  await mkdir(home);
  const environment = {
    HOLDFAST_REPOSITORY: join(home, 'objects'),
    HOLDFAST_STATE_DIR: join(home, 'state'),
    HOLDFAST_CLUSTER: 'shop',
  };
  const key = join(home, 'key');
  const created = await runHoldfast(['repository', 'init', '--generate-key-file', key], { environment });
  assert.equal(created.code, 0, created.stderr);
  return { ...environment, HOLDFAST_KEY_FILE: key };
}

for (const major of [14, 18] as const satisfies readonly PostgresMajor[]) {
  describe(`the doctor at a PostgreSQL ${major} in a bad way`, () => {
    let server: PostgresServer;
    let scratch: string;
    let environment: Environment;
    before(async () => {
      scratch = await makeScratchDirectory(`doctor-${major}`);
      const settings = {
        ...{ fsync: 'off', full_page_writes: 'off', wal_level: 'minimal', max_wal_senders: '0' },
        ...{ max_replication_slots: '1', wal_sender_timeout: '0', max_prepared_transactions: '2' },
        ...(major === 18 ? { idle_replication_slot_timeout: '1h' } : {}),
      };
      server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      await server.query('CREATE UNLOGGED TABLE "Cart" (n int)');
      await server.query("ALTER ROLE backup NOREPLICATION VALID UNTIL 'tomorrow'");
      await server.query('REVOKE pg_monitor FROM backup');
      environment = { ...(await makeRepository(join(scratch, 'place'))), DATABASE_URL: server.backupUrl };
    });
    after(async () => {
      await server?.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    const mendable = [
      ...['fsync', 'full-page-writes', 'wal-level', 'wal-senders', 'replication-slots', 'slot-budget', 'slot'],
      ...['sender-timeout', 'role-replication', 'role-monitor', 'role-expiry', 'replication-login', 'unlogged-tables'],
      ...(major === 18 ? ['slot-idle-timeout', 'summarize-wal'] : []),
    ];

    it('finds everything, and what it prints mends it', async () => {
      const sick = await examine(environment);
      assert.equal(sick.outcome, 'problem');
      for (const code of mendable) assert.match(sick.verdictOf(code) ?? 'absent', /^(problem|warning)$/, code);
      // Every statement as it stands, each on its own, as in psql; those on slots need the restart.
      const statements = mendable.flatMap((code) => sick.mendsOf(code)).filter(({ kind }) => kind === 'sql');
      const needsRestart = ({ text }: { text: string }) => text.startsWith('SELECT pg_create');
      for (const { text } of statements.filter((mend) => !needsRestart(mend))) await server.query(text);
      const waiting = await examine(environment);
      assert.equal(waiting.verdictOf('pending-restart'), 'warning');
      await server.restart();
      for (const { text } of statements.filter((mend) => needsRestart(mend))) await server.query(text);
      const sound = await examine(environment);
      for (const code of [...mendable, 'pending-restart']) assert.equal(sound.verdictOf(code), 'ok', code);
    });

    it('names a slot that was given up, and what it prints makes it anew', async () => {
      await loseSlot(server);
      const sick = await examine(environment);
      assert.equal(sick.verdictOf('slot'), 'problem');
      for (const { kind, text } of sick.mendsOf('slot')) if (kind === 'sql') await server.query(text);
      assert.equal((await examine(environment)).verdictOf('slot'), 'ok');
    });

    it('finds a line that would keep the server from starting, such as wal_keep_segments, and prints what takes it out', async () => {
      const asSuperuser = { ...environment, DATABASE_URL: server.url };
      await appendFile(join(server.dataDirectory, 'postgresql.conf'), 'wal_keep_segments = 100\n');
      const sick = await examine(asSuperuser);
      assert.equal(sick.verdictOf('configuration-files'), 'problem');
      for (const { kind, text } of sick.mendsOf('configuration-files')) {
        if (kind === 'shell') execFileSync('/bin/sh', ['-c', text]);
        if (kind === 'sql') await server.query(text);
      }
      assert.equal((await examine(asSuperuser)).verdictOf('configuration-files'), 'ok');
      await server.restart();
    });

    it('finds an archive_command that fails, and one that destroys what is archived', async () => {
      await server.query("ALTER SYSTEM SET archive_mode = 'on'");
      await server.query("ALTER SYSTEM SET archive_command = 'cp %p /nowhere/%f'");
      await server.restart();
      await server.query('SELECT pg_switch_wal()');
      while ((await server.query('SELECT 1 FROM pg_stat_archiver WHERE failed_count > 0')).length === 0)
        await systemClock.sleep(50);
      const sick = await examine(environment);
      assert.equal(sick.verdictOf('archiving'), 'problem');
      assert.equal(sick.verdictOf('archive-command'), 'warning');
      assert.equal(sick.verdictOf('archive-timeout'), 'warning');
      const tried = sick.mendsOf('archiving').find(({ text }) => text.includes('/nowhere/'));
      // A role that may not see where the data lies cannot be told the whole command.
      assert.match(tried?.text ?? '', /^cd \S+ && cp pg_wal\/[0-9A-F]{24} \/nowhere\/[0-9A-F]{24}$/);
      await server.query('ALTER SYSTEM RESET archive_mode');
      await server.query('ALTER SYSTEM RESET archive_command');
      await server.restart();
      assert.equal((await examine(environment)).verdictOf('archive-mode'), 'ok');
    });

    it('does not take a transaction that was prepared a moment ago for one that was left over', async () => {
      await server.query("BEGIN; CREATE TABLE left_over (); PREPARE TRANSACTION 'it''s'");
      assert.equal((await examine(environment)).verdictOf('prepared-transactions'), 'ok');
      await server.query("ROLLBACK PREPARED 'it''s'");
    });
  });
}

describe('the doctor', () => {
  let server: PostgresServer;
  let scratch: string;
  let environment: Environment;
  let places = 0;
  before(async () => {
    scratch = await makeScratchDirectory('doctor');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    environment = { ...(await makeRepository(join(scratch, 'place'))), DATABASE_URL: server.backupUrl };
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  async function freshPlace(): Promise<Environment> {
    places += 1;
    return await makeRepository(join(scratch, `place-${places}`));
  }

  const listObjects = async (directory: string) => {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  };

  it('says what it could not look at when it is told of nothing, and calls nothing well that it has not seen', async () => {
    const { code, document } = await examineByCommand({ HOLDFAST_STATE_DIR: join(scratch, 'no-state') });
    assert.equal(code, 2);
    assert.equal(document.well, false);
    const seen = document.checks.filter(({ verdict }) => verdict !== 'unseen');
    assert.deepEqual([...new Set(seen.map(({ area }) => area))], ['host']);
    for (const area of ['server', 'keys', 'store', 'protection']) {
      assert.ok(
        document.checks.some((check) => check.area === area && check.verdict === 'unseen'),
        area,
      );
    }
  });

  it('leaves server, repository and state directory as they were', async () => {
    const directory = environment.HOLDFAST_REPOSITORY!;
    const before = await listObjects(directory);
    const slots = await server.query('SELECT slot_name FROM pg_replication_slots');
    await examine(environment);
    assert.deepEqual((await listObjects(directory)).sort(), before.sort());
    assert.deepEqual(await server.query('SELECT slot_name FROM pg_replication_slots'), slots);
  });

  it('ends with 1 when the server does not answer and nothing else is wrong, and names it', async () => {
    const away = { ...(await freshPlace()), DATABASE_URL: 'postgresql://backup@127.0.0.1:1/postgres' };
    const sick = await examine(away);
    assert.equal(sick.verdictOf('server-reachable'), 'problem');
    // There is no backup yet either, so that is a problem of its own.
    assert.equal(sick.outcome, 'problem');
    assert.equal((await examineByCommand(away)).code, 3);
    const nothingElse = { DATABASE_URL: away.DATABASE_URL, HOLDFAST_STATE_DIR: join(scratch, 'no-state') };
    assert.equal((await examineByCommand(nothingElse)).code, 1);
  });

  it('tells a wrong key, an open key file and one that lies in the repository, with what mends them', async () => {
    const place = await freshPlace();
    const key = place.HOLDFAST_KEY_FILE!;
    await chmod(key, 0o644);
    const open = await examine(place);
    assert.equal(open.verdictOf('key-file-mode'), 'problem');
    for (const { text } of open.mendsOf('key-file-mode')) execFileSync('/bin/sh', ['-c', text]);
    assert.equal((await examine(place)).verdictOf('key-file-mode'), 'ok');
    await writeFile(join(scratch, 'wrong-key'), `${'0'.repeat(64)}\n`, { mode: 0o600 });
    const wrong = await examine({ ...place, HOLDFAST_KEY_FILE: join(scratch, 'wrong-key') });
    assert.equal(wrong.verdictOf('repository-opens'), 'problem');
    assert.equal(wrong.verdictOf('protection'), 'unseen');
    assert.ok(!JSON.stringify(wrong.checks).includes('0'.repeat(64)));
  });

  it('tells an open password file, and what it prints closes it', async () => {
    const file = join(scratch, 'open-pgpass');
    await writeFile(file, '# empty\n', { mode: 0o644 });
    await chmod(file, 0o644);
    const target = { ...environment, DATABASE_URL: server.backupUrl.replace(/:[^:@/]*@/, '@'), PGPASSFILE: file };
    const sick = await examine(target);
    assert.equal(sick.verdictOf('password-file'), 'problem');
    for (const { text } of sick.mendsOf('password-file')) execFileSync('/bin/sh', ['-c', text]);
    assert.equal((await examine(target)).verdictOf('password-file'), 'ok');
  });

  it('tells a repository that is not there, and one that everybody may write to', async () => {
    const absent = await examine({ ...environment, HOLDFAST_REPOSITORY: join(scratch, 'absent') });
    assert.equal(absent.verdictOf('store-write'), 'problem');
    assert.equal(absent.verdictOf('repository-opens'), 'problem');
    const place = await freshPlace();
    const directory = place.HOLDFAST_REPOSITORY!;
    await chmod(directory, 0o777);
    const open = await examine(place);
    assert.equal(open.verdictOf('store-mode'), 'problem');
    for (const { text } of open.mendsOf('store-mode')) execFileSync('/bin/sh', ['-c', text]);
    assert.equal((await examine(place)).verdictOf('store-mode'), 'ok');
  });

  it('tells a repository in memory, and one on a file system that is mounted read-only or full', {
    skip: !runsAsRoot && 'mounting a file system takes root',
  }, async () => {
    const mount = join(scratch, 'memory');
    await mkdir(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mount]);
    try {
      const place = await makeRepository(join(mount, 'place'));
      const inMemory = await examine(place);
      assert.equal(inMemory.verdictOf('store-file-system'), 'problem');
      assert.equal(inMemory.verdictOf('store-write'), 'ok');
      await writeFile(join(mount, 'filler'), Buffer.alloc(4 * 1024 * 1024)).catch(() => undefined); // It does not fit.
      const full = await examine(place);
      assert.equal(full.verdictOf('store-write'), 'problem');
      assert.equal(full.verdictOf('space-repository'), 'problem');
      await rm(join(mount, 'filler'));
      assert.equal((await examine(place)).verdictOf('store-write'), 'ok');
      execFileSync('mount', ['-o', 'remount,ro', mount]);
      const closed = await examine(place);
      assert.equal(closed.verdictOf('store-write'), 'problem');
      assert.match(closed.foundOf('store-write'), /read-only|EROFS/);
    } finally {
      execFileSync('umount', [mount]);
    }
  });

  it('tells a store that does not keep its promises', async () => {
    const directory = environment.HOLDFAST_REPOSITORY!;
    class OverwritingStore extends FaultyStore {
      override async putIfAbsent(name: string, parts: Uint8Array) {
        await this.delete(name);
        return await super.putIfAbsent(name, parts);
      }
    }
    const overwriting = { store: new OverwritingStore(openDiskStore(directory)), directory };
    assert.equal((await examine(environment, { store: overwriting })).verdictOf('store-create-once'), 'problem');
    const denying = new FaultyStore(openDiskStore(directory));
    denying.plan({ kind: 'fail', call: 'putIfAbsent', error: () => new HoldfastError('STORE_DENIED', 'no') });
    const denied = await examine(environment, { store: { store: denying, directory } });
    assert.equal(denied.verdictOf('store-write'), 'problem');
  });

  it('tells clocks that differ by an hour', async () => {
    const late = { ...systemClock, now: () => systemClock.now() - 3_600_000 };
    const { verdictOf } = await examine(environment, { clock: late });
    assert.equal(verdictOf('clock-server'), 'problem');
    assert.equal(verdictOf('clock-store'), 'problem');
  });

  it('tells another server under the name of a cluster', async () => {
    const place = { ...(await freshPlace()), DATABASE_URL: server.backupUrl };
    assert.equal((await runHoldfast(['backup', '--checkpoint', 'fast'], { environment: place })).code, 0);
    assert.equal((await examine(place)).verdictOf('system'), 'ok');
    const other = await startPostgres({ major: 14, walSegmentSizeMb: 1 });
    try {
      const sick = await examine({ ...place, DATABASE_URL: other.backupUrl });
      assert.equal(sick.verdictOf('system'), 'problem');
      // By the day on which this is written, the oldest major is mended no more.
      assert.match(sick.verdictOf('version-support') ?? '', /ok|warning/);
    } finally {
      await other.dispose();
    }
  });

  it('tells a repository that was put back, until somebody has looked at it', async () => {
    const place = { ...(await freshPlace()), DATABASE_URL: server.backupUrl };
    const directory = environmentOf(place).HOLDFAST_REPOSITORY!;
    assert.equal((await runHoldfast(['backup', '--checkpoint', 'fast'], { environment: place })).code, 0);
    assert.equal((await examine(place)).verdictOf('ledger-heads'), 'ok');
    const [writer] = await readdir(join(directory, 'ledger'));
    const entries = (await readdir(join(directory, 'ledger', writer!))).sort();
    await rm(join(directory, 'ledger', writer!, entries.at(-1)!));
    const sick = await examine(place);
    assert.equal(sick.verdictOf('ledger-heads'), 'problem');
    const shown = sick.mendsOf('ledger-heads').find(({ kind }) => kind === 'shell');
    const acknowledged = await runHoldfast(shown!.text.split(' ').slice(1), { environment: place });
    assert.equal(acknowledged.code, 0, acknowledged.stderr);
    assert.equal((await examine(place)).verdictOf('ledger-heads'), 'ok');
  });

  it('has nothing to say against the protection of a cluster once its commands were run', async () => {
    const place = { ...(await freshPlace()), DATABASE_URL: server.backupUrl };
    const bare = await examine(place);
    assert.deepEqual([bare.verdictOf('no-snapshot'), bare.verdictOf('no-wal')], ['problem', 'warning']);
    const stream = startHoldfast(['wal', 'stream', '--events'], { environment: place });
    try {
      await stream.said(/"state":"streaming"/);
      for (const { text } of bare.mendsOf('no-snapshot')) {
        const run = await runHoldfast(text.split(' ').slice(1), { environment: place });
        assert.equal(run.code, 0, run.stderr);
      }
      const untested = await examine(place);
      assert.equal(untested.verdictOf('backup-tested'), 'warning');
      const run = await runHoldfast(untested.mendsOf('backup-tested')[0]!.text.split(' ').slice(1), {
        environment: place,
      });
      assert.equal(run.code, 0, run.stderr);
      const { checks, verdictOf } = await examine(place);
      assert.equal(verdictOf('push-socket'), 'ok');
      const said = checks.filter(({ area, verdict }) => area === 'protection' && verdict !== 'ok');
      assert.deepEqual(said, []);
    } finally {
      stream.child.kill('SIGTERM');
      await stream.ended;
    }
  });

  it('names every member of its document in the documentation', async () => {
    const page = await readFile(new URL('../../docs/cli-json.md', import.meta.url), 'utf8');
    const section = page.split('\n### ').find((text) => text.startsWith('`doctor`')) ?? '';
    const { document } = await examineByCommand(environment);
    for (const name of [...Object.keys(document), ...Object.keys(document.checks[0]!)]) {
      assert.ok(section.includes(`\`${name}\``), name);
    }
  });

  it('shows people what is wrong with the command that mends it, and the rest when asked', async () => {
    const brief = await runHoldfast(['doctor'], { environment });
    assert.match(brief.stdout, /✗ max_slot_wal_keep_size is -1/);
    assert.match(brief.stdout, /→ sql {5}ALTER SYSTEM SET max_slot_wal_keep_size = '\d+MB';/);
    assert.doesNotMatch(brief.stdout, /✓/);
    const all = await runHoldfast(['doctor', '--all'], { environment });
    assert.match(all.stdout, /✓ fsync is on/);
  });
});
