import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mendsOf, ofServer, settingsWith, soundNow, soundServer, told } from '../../../test/support/preflight-facts.ts';
import { findArchiveDanger } from './judge-archiving.ts';
import { judgeReplication } from './judge-replication.ts';
import { findKnownBugs } from './known-bugs.ts';
import { neededSenders, proposeSlotBudget } from './needs.ts';
import type { ServerFacts } from './server-facts.ts';
import { proposeSetup } from './setup/propose-setup.ts';

const slot = soundServer.slots[0]!;
const old = 2 * 60 * 60 * 1000;

describe('a server', () => {
  it('that is as it should be gives no finding, and every finding of the cases below is gone with its cause', () => {
    assert.deepEqual(told(ofServer({})), []);
  });

  const cases: [string, Partial<ServerFacts>, string[]][] = [
    ['of a version never tried', { version: { major: 19, minor: 0, text: '19beta1' } }, ['problem version']],
    ['with pages of another size', { blockBytes: 16_384 }, ['problem block-size']],
    ['without checksums', { hasChecksums: false }, ['warning data-checksums']],
    ['that is a standby', { isPrimary: false }, ['warning server-role']],
    ['with fsync off', { settings: settingsWith({ fsync: 'off' }) }, ['problem fsync']],
    [
      'with full_page_writes off',
      { settings: settingsWith({ full_page_writes: 'off' }) },
      ['problem full-page-writes'],
    ],
    ['with wal_level minimal', { settings: settingsWith({ wal_level: 'minimal' }) }, ['problem wal-level']],
    ['with too few senders', { settings: settingsWith({ max_wal_senders: '2' }) }, ['problem wal-senders']],
    ['with too few slots', { settings: settingsWith({ max_replication_slots: '1' }) }, ['problem replication-slots']],
    ['without our slot', { slots: [] }, ['warning slot']],
    ['with a logical slot of our name', { slots: [{ ...slot, isPhysical: false }] }, ['problem slot']],
    ['whose slot is lost', { slots: [{ ...slot, walStatus: 'lost', keptBytes: null }] }, ['problem slot']],
    ['whose slot was invalidated', { slots: [{ ...slot, invalidation: 'idle_timeout' }] }, ['problem slot']],
    ['whose slot keeps nothing', { slots: [{ ...slot, walStatus: null, keptBytes: null }] }, ['warning slot']],
    ['whose slot is near its limit', { slots: [{ ...slot, keptBytes: 60 * 1024 ** 3 }] }, ['warning slot-use']],
    [
      'that lets a slot keep everything',
      { settings: settingsWith({ max_slot_wal_keep_size: ['-1', 'MB'] }) },
      ['problem slot-budget'],
    ],
    [
      'that drops idle slots',
      { settings: settingsWith({ idle_replication_slot_timeout: ['3600', 's'] }) },
      ['warning slot-idle-timeout'],
    ],
    [
      'that never lets go of a sender',
      { settings: settingsWith({ wal_sender_timeout: ['0', 'ms'] }) },
      ['warning sender-timeout'],
    ],
    [
      'with * as synchronous standby',
      { settings: settingsWith({ synchronous_standby_names: '*' }) },
      ['warning synchronous-names'],
    ],
    [
      'whose commits wait for us alone',
      { settings: settingsWith({ synchronous_standby_names: 'holdfast_shop' }) },
      ['warning synchronous-names'],
    ],
    [
      'that archives into nothing',
      { settings: settingsWith({ archive_mode: 'on', archive_timeout: ['60', 's'] }) },
      ['problem archive-command'],
    ],
    [
      'whose archiving fails',
      {
        settings: settingsWith({
          archive_mode: 'on',
          archive_command: 'holdfast wal push %p',
          archive_timeout: ['60', 's'],
        }),
        archiver: { lastArchivedAt: 1, lastFailedAt: 2, lastFailedName: '000000010000000000000001', failedCount: 1 },
      },
      ['problem archiving'],
    ],
    [
      'whose archive queue grows',
      {
        settings: settingsWith({
          archive_mode: 'on',
          archive_command: 'holdfast wal push %p',
          archive_timeout: ['60', 's'],
        }),
        waitingForArchive: 100,
      },
      ['warning archive-queue'],
    ],
    [
      'that archives full segments only',
      { settings: settingsWith({ archive_mode: 'on', archive_command: 'holdfast wal push %p' }) },
      ['warning archive-timeout'],
    ],
    [
      'with a mistake in its files',
      {
        configurationErrors: [
          {
            file: '/etc/postgresql.conf',
            line: 7,
            name: 'wal_keep_segments',
            error: 'unrecognized configuration parameter',
          },
        ],
      },
      ['problem configuration-files'],
    ],
    [
      'that waits for a restart',
      {
        settings: new Map([
          ...settingsWith(),
          ['wal_level', { value: 'replica', unit: '', isPendingRestart: true, origin: '' }],
        ]),
      },
      ['warning pending-restart'],
    ],
    [
      'with an old prepared transaction',
      { preparedTransactions: [{ name: "it's", database: 'shop', ageMs: old }] },
      ['warning prepared-transactions'],
    ],
    [
      'with an unlogged table',
      { databases: [{ kind: 'seen', name: 'shop', unloggedTables: ['public."Cart"'], staleCollations: [] }] },
      ['warning unlogged-tables'],
    ],
    ['with a foreign resource manager', { customResourceManagers: ['pg_tde'] }, ['warning resource-managers']],
    [
      'with a stale collation of a database',
      {
        locales: [
          { database: 'shop', provider: 'libc', locale: 'de_DE.UTF-8', versions: { made: '2.31', now: '2.36' } },
        ],
      },
      ['warning collations'],
    ],
    [
      'with a stale collation of a column',
      { databases: [{ kind: 'seen', name: 'shop', unloggedTables: [], staleCollations: ['pg_catalog."de-x-icu"'] }] },
      ['warning collations'],
    ],
    [
      'with a database that lets nobody in',
      { databases: [{ kind: 'unseen', name: 'secret', why: 'no entry' }] },
      ['unseen unlogged-tables', 'unseen database'],
    ],
    ['that does not say how much it writes', { walBytesPerSecond: null }, ['unseen wal-rate']],
    ['whose configuration is closed to us', { configurationErrors: null }, ['unseen configuration-files']],
  ];
  for (const [title, changes, expected] of cases) {
    it(`${title}: ${expected.join(', ')}`, () => assert.deepEqual(told(ofServer(changes)), expected));
  }

  it('is a problem when the repository keeps another system under its name, and unseen when nobody looked', () => {
    assert.deepEqual(told(ofServer({}, soundNow, ['1'])), ['problem system']);
    assert.deepEqual(told(ofServer({}, soundNow, null)), ['unseen system']);
    assert.deepEqual(told(ofServer({}, soundNow, [soundServer.system])), []);
  });

  it('of a major that is not mended any more is told from the day after its last one', () => {
    const version = { major: 14, minor: 23, text: '14.23' };
    assert.deepEqual(told(ofServer({ version }, Date.parse('2026-11-12T23:59:59Z'))), []);
    assert.deepEqual(told(ofServer({ version }, Date.parse('2026-11-13T00:00:00Z'))), ['warning version-support']);
  });

  it('is told its own commands, quoted as SQL and shell take them', () => {
    assert.deepEqual(mendsOf(ofServer({ settings: settingsWith({ wal_level: 'minimal' }) })), [
      "sql: ALTER SYSTEM SET wal_level = 'replica';",
      'sql: SELECT pg_reload_conf();',
      'shell: pg_ctl restart -m fast -D /var/lib/postgresql/18/main  # or in the way in which it was started',
    ]);
    assert.deepEqual(mendsOf(ofServer({ slots: [{ ...slot, walStatus: 'lost', keptBytes: null }] })), [
      "sql: SELECT pg_drop_replication_slot('holdfast_shop');",
      "sql: SELECT pg_create_physical_replication_slot('holdfast_shop', true);",
      'shell: holdfast backup',
    ]);
  });

  it('is told how to try an archive_command that fails, with both names put in', () => {
    const checks = ofServer({
      settings: settingsWith({
        archive_mode: 'on',
        archive_command: "test ! -f /arch/%f && cp %p '/arch/%%/%f'",
        archive_timeout: ['60', 's'],
      }),
      archiver: { lastArchivedAt: null, lastFailedAt: 2, lastFailedName: '0A', failedCount: 1 },
    });
    const command = "cd /var/lib/postgresql/18/main && test ! -f /arch/0A && cp pg_wal/0A '/arch/%/0A'";
    assert.ok(mendsOf(checks).includes(`shell: ${command}`));
  });
});

describe('known faults of PostgreSQL', () => {
  const quiet = { summarizesWal: false, hasChecksums: true, logsHints: false };
  const ids = (major: number, minor: number, settings = quiet) =>
    findKnownBugs({ major, minor }, settings).map(({ id }) => id);

  it('are those of the minor, from the first that has them to the last', () => {
    assert.deepEqual(ids(14, 3), ['concurrent-index-corruption', 'failed-truncation']);
    assert.deepEqual(ids(14, 4), ['failed-truncation']);
    assert.deepEqual(ids(17, 2), ['failed-truncation']);
    assert.deepEqual(ids(17, 3), []);
    assert.deepEqual(ids(18, 2), ['multixact-replay']);
    assert.deepEqual(ids(18, 4), []);
  });

  it('of incremental backups count only where WAL is summarized', () => {
    const on = { ...quiet, summarizesWal: true };
    assert.deepEqual(ids(18, 4, on), ['summary-boundary', 'truncated-and-regrown', 'summaries-out-of-order']);
    assert.ok(ids(18, 4, { ...on, hasChecksums: false }).includes('stale-visibility-map'));
    assert.ok(!ids(18, 4, { ...on, hasChecksums: false, logsHints: true }).includes('stale-visibility-map'));
    assert.deepEqual(ids(16, 14, on), []);
  });

  it('are a problem where a minor mends them and a warning where none is known to', () => {
    const version = { major: 18, minor: 2, text: '18.2' };
    assert.deepEqual(told(ofServer({ version, settings: settingsWith({ summarize_wal: 'on' }) })), [
      'problem known-bug-multixact-replay',
      'warning known-bug-summary-boundary',
      'warning known-bug-truncated-and-regrown',
      'warning known-bug-summaries-out-of-order',
    ]);
  });
});

describe('an archive_command', () => {
  const cases: [string, 'loss' | 'overwrites' | null][] = [
    ['aws s3 cp %p s3://wishcraft-wal-archive/%f', 'overwrites'],
    ['cp %p /archive/%f', 'overwrites'],
    ['gzip < %p > /archive/%f.gz', 'overwrites'],
    ['/bin/true', 'loss'],
    ['cp %p /archive/%f || true', 'loss'],
    ['cp %p /archive/%f; exit 0', 'loss'],
    ['test ! -f /archive/%f && cp %p /archive/%f', null],
    ['cp -n %p /archive/%f', null],
    ['holdfast wal push %p', null],
    ['pgbackrest --stanza=main archive-push %p', null],
  ];
  for (const [command, expected] of cases) {
    it(`"${command}" is ${expected ?? 'let be'}`, () => {
      const danger = findArchiveDanger(command);
      assert.equal(danger === null ? null : danger.isLoss ? 'loss' : 'overwrites', expected);
    });
  }
});

describe('what Holdfast needs of a server', () => {
  it('are senders for three replicas, a receiver, a backup and one to spare, and three are too few', () => {
    const senders = ['one', 'two', 'three'].map((applicationName) => ({ applicationName }));
    assert.equal(neededSenders({ senders, slots: [] }).count, 6);
    const checks = ofServer({ senders, settings: settingsWith({ max_wal_senders: '3' }) });
    assert.deepEqual(told(checks), ['problem wal-senders']);
    assert.match(mendsOf(checks)[0]!, /on every standby first/);
    assert.ok(mendsOf(checks).includes("sql: ALTER SYSTEM SET max_wal_senders = '6';"));
  });

  it('counts a replica that is away by its slot, and ourselves never twice', () => {
    const away = { ...slot, name: 'replica_1', isActive: false };
    assert.equal(neededSenders({ senders: soundServer.senders, slots: [slot, away] }).count, 4);
  });

  it('is a limit for slots: as planned, else a day of WAL, never more than half of the free room', () => {
    const propose = (walBytesPerSecond: number, wantedBytes: number | null, freeBytes: number | null) =>
      proposeSlotBudget({ ...soundServer, walBytesPerSecond }, { wantedBytes, freeBytes }).bytes;
    assert.equal(propose(0, 5_000_000, 1), 5_000_000);
    assert.equal(propose(0, null, null), 4 * 1024 ** 3);
    assert.equal(propose(1_000_000, null, null), 86_400_000_000);
    assert.equal(propose(1_000_000, null, 40_000_000_000), 20_000_000_000);
  });
});

describe('a limit for slots', () => {
  const behind = { ...slot, name: 'replica_1', keptBytes: 10 * 1024 ** 3 };

  it('never makes the server give up a slot that is there: it is twice what that keeps at least', () => {
    const facts = { ...soundServer, slots: [slot, behind] };
    const { bytes, origin } = proposeSlotBudget(facts, { wantedBytes: null, freeBytes: 1024 ** 3 });
    assert.deepEqual([bytes, origin], [20 * 1024 ** 3, 'twice what a slot keeps already']);
  });

  it('is never proposed by the doctor below what a slot keeps', () => {
    const facts = {
      ...soundServer,
      slots: [{ ...slot, keptBytes: 5 * 1024 ** 3 }],
      settings: settingsWith({ max_slot_wal_keep_size: '-1' }),
    };
    const question = { slot: 'holdfast_shop', walDirectoryFreeBytes: null };
    const found = judgeReplication(facts, question).find(({ code }) => code === 'slot-budget')!;
    assert.match(found.mends[0]!.text, /max_slot_wal_keep_size = '10240MB'/);
  });

  it('that was asked for is refused when a slot is beyond it', () => {
    const server = { ...soundServer, slots: [slot, behind] };
    const wish = { slot: slot.name, role: null, archiveCommand: null, replacesArchive: false };
    const facts = { server, role: null, written: null, walDirectoryFreeBytes: null };
    const code = 'SETUP_SLOT_ENDANGERED';
    assert.throws(() => proposeSetup(facts, { ...wish, slotBudgetBytes: 1024 ** 3 }), { code });
    assert.equal(proposeSetup(facts, { ...wish, slotBudgetBytes: 11 * 1024 ** 3 }).settings[0]?.to, '11264MB');
  });
});
