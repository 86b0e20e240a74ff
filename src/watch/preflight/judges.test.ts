import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  settingsWith,
  soundHost,
  soundKeys,
  soundNow,
  soundProbe,
  soundRights,
  soundServer,
  soundStore,
  volumeWith,
} from '../../../test/support/preflight-facts.ts';
import type { PromiseOutcome, StoreProbe, StorePromise } from '../../repository/index.ts';
import { type Check, quoteIdentifier, quoteLiteral, quoteWord } from './check.ts';
import { findArchiveDanger, judgeArchiving } from './judge-archiving.ts';
import { judgeContents } from './judge-contents.ts';
import { judgeHost } from './judge-host.ts';
import { judgeKeys } from './judge-keys.ts';
import { judgeProtection, type ProtectionFacts } from './judge-protection.ts';
import { judgeReplication } from './judge-replication.ts';
import { hbaLine, judgeRights, type LinkFacts, type RightsFacts } from './judge-rights.ts';
import { judgeServer } from './judge-server.ts';
import { judgeLeases, judgeStore } from './judge-store.ts';
import { findKnownBugs } from './known-bugs.ts';
import { neededSenders, proposeSlotBudget } from './needs.ts';
import { judgePushSocket } from './push-socket.ts';
import type { ServerFacts } from './server-facts.ts';
import { proposeSetup } from './setup/propose-setup.ts';

/** What is not as it should be, as `problem code`. */
function told(checks: readonly Check[]): string[] {
  return checks.filter(({ verdict }) => verdict !== 'ok').map(({ verdict, code }) => `${verdict} ${code}`);
}

/** The commands of the one finding that there is. */
function mendsOf(checks: readonly Check[]): string[] {
  const findings = checks.filter(({ verdict }) => verdict !== 'ok');
  assert.equal(findings.length, 1);
  return findings[0]!.mends.map(({ kind, text }) => `${kind}: ${text}`);
}

function ofServer(changes: Partial<ServerFacts>, now = soundNow, knownSystems: string[] | null = []): Check[] {
  const facts = { ...soundServer, ...changes };
  return [
    ...judgeServer(facts, { cluster: 'shop', knownSystems, now }),
    ...judgeReplication(facts, { slot: 'holdfast_shop', walDirectoryFreeBytes: null }),
    ...judgeArchiving(facts, { receiverRuns: false }),
    ...judgeContents(facts),
  ];
}

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
    assert.deepEqual(ids(18, 4, on), ['summary-boundary', 'truncated-and-regrown']);
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

describe('the rights of the role', () => {
  const ofRights = (changes: Partial<RightsFacts>) => judgeRights({ ...soundRights, ...changes });
  const withRole = (changes: Partial<ServerFacts['role']>) => ({
    server: { ...soundServer, role: { ...soundServer.role, ...changes } },
  });
  const withLink = (changes: Partial<LinkFacts>) => ({ link: { ...soundRights.link, ...changes } });
  const refused = { kind: 'refused', code: 'PG_ACCESS_DENIED', sentence: 'no entry' } as const;
  const day = 24 * 60 * 60 * 1000;

  it('that are as they should be give no finding', () => assert.deepEqual(told(ofRights({})), []));

  const cases: [string, Partial<RightsFacts>, string[]][] = [
    ['without REPLICATION', withRole({ mayReplicate: false }), ['problem role-replication']],
    ['that is not let in for replication', { replication: refused }, ['problem replication-login']],
    ['without pg_monitor', withRole({ mayMonitor: false }), ['warning role-monitor']],
    ['of a superuser', withRole({ isSuperuser: true }), ['warning role-rights']],
    ['whose password ends soon', withRole({ passwordValidUntil: soundNow + day }), ['warning role-expiry']],
    ['whose password ends in a year', withRole({ passwordValidUntil: soundNow + 365 * day }), []],
    ['over a network in the clear', withLink({ isEncrypted: false, sslMode: 'prefer' }), ['problem tls']],
    ['over TLS that proves nothing', withLink({ sslMode: 'require' }), ['warning tls']],
    ['over a socket', withLink({ isOnThisHost: true, isEncrypted: false, sslMode: 'prefer' }), []],
    [
      'with an open password file',
      withLink({ passwordFile: { path: '/p', mode: 0o100644 } }),
      ['problem password-file'],
    ],
  ];
  for (const [title, changes, expected] of cases) {
    it(`${title}: ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(told(ofRights(changes)), expected));
  }

  it('whose password is missing or wrong are never mended in pg_hba.conf', () => {
    for (const code of ['PG_PASSWORD_MISSING', 'PG_AUTHENTICATION_FAILED']) {
      const checks = ofRights({ server: null, replication: { kind: 'refused', code, sentence: 'no' } });
      const mends = checks.find((check) => check.code === 'replication-login')!.mends.map(({ text }) => text);
      assert.match(mends.join(' '), /PGPASSWORD.*database setup --role/);
      assert.doesNotMatch(mends.join(' '), /pg_hba/);
    }
  });

  it('that nobody could look at are never told as well', () => {
    const checks = ofRights({ server: null, replication: { kind: 'unseen', why: 'x' } });
    assert.ok(checks.filter(({ code }) => /role|replication/.test(code)).every(({ verdict }) => verdict === 'unseen'));
  });

  it('come with the very line for pg_hba.conf', () => {
    const line = (user: string, clientAddress: string | null, isOnThisHost = false) =>
      hbaLine({ user, clientAddress, isOnThisHost });
    assert.equal(line('holdfast', null, true), 'local replication holdfast scram-sha-256');
    assert.equal(line('holdfast', '192.0.2.7'), 'hostssl replication holdfast 192.0.2.7/32 scram-sha-256');
    assert.equal(line('Back Up', '2001:db8::7'), 'hostssl replication "Back Up" 2001:db8::7/128 scram-sha-256');
  });
});

describe('a host', () => {
  const seen = { clockOffset: soundServer.clockOffset, storeOffsetMs: 0, locales: soundServer.locales };
  const ofHost = (changes: Partial<typeof soundHost>, question: Partial<Parameters<typeof judgeHost>[1]> = {}) =>
    judgeHost({ ...soundHost, ...changes }, { ...seen, ...question });
  const volumes = (repository: ReturnType<typeof volumeWith>) => ({ volumes: { ...soundHost.volumes, repository } });

  it('that is as it should be gives no finding', () => assert.deepEqual(told(ofHost({})), []));

  const cases: [string, Check[], string[]][] = [
    ['with an old Node.js', ofHost({ nodeVersion: '24.6.1' }), ['problem node-version']],
    ['with little room', ofHost(volumes(volumeWith({ freeBytes: 100 * 1024 ** 3 }))), ['warning space-repository']],
    ['with hardly any room', ofHost(volumes(volumeWith({ freeBytes: 1024 ** 3 }))), ['problem space-repository']],
    ['without inodes', ofHost(volumes(volumeWith({ freeFiles: 10 }))), ['problem inodes-repository']],
    ['whose file system makes inodes as needed', ofHost(volumes(volumeWith({ totalFiles: 0, freeFiles: 0 }))), []],
    ['whose state directory is closed', ofHost({ stateProblem: 'EACCES' }), ['problem state-directory']],
    [
      'whose clock is two seconds off',
      ofHost({}, { clockOffset: { ms: 2000, uncertaintyMs: 5 } }),
      ['warning clock-server'],
    ],
    [
      'whose clock is an hour off',
      ofHost({}, { clockOffset: { ms: -3.6e6, uncertaintyMs: 5 } }),
      ['problem clock-server'],
    ],
    ['that had to wait for the answer', ofHost({}, { clockOffset: { ms: 2000, uncertaintyMs: 1500 } }), []],
    ['whose store has another time', ofHost({}, { storeOffsetMs: 7000 }), ['warning clock-store']],
    ['without a time service', ofHost({ isTimeSynchronized: false }), ['warning time-service']],
    [
      'without the server',
      ofHost({ serverPrograms: { kind: 'absent', sentence: 'none', major: 18 } }),
      ['warning server-programs'],
    ],
    [
      'without a locale',
      ofHost({}, { locales: [{ database: 'a', provider: 'libc', locale: 'de_DE.UTF-8', versions: null }] }),
      ['warning locales'],
    ],
    [
      'with a locale in other letters',
      ofHost({}, { locales: [{ database: 'a', provider: 'libc', locale: 'en_US.UTF-8', versions: null }] }),
      [],
    ],
    ['of root alone', ofHost({ isRoot: true }), ['warning user']],
    ['of root with a user for servers', ofHost({ isRoot: true, serverUsers: ['postgres'] }), []],
    ['with few open files', ofHost({ openFilesMax: 256 }), ['warning open-files']],
  ];
  for (const [title, checks, expected] of cases) {
    it(`${title}: ${expected.join(', ') || 'nothing'}`, () => assert.deepEqual(told(checks), expected));
  }

  it('that cannot be looked at is told as not looked at, never as well', () => {
    const checks = ofHost(
      { isTimeSynchronized: null, locales: null, openFilesMax: null, serverPrograms: { kind: 'unseen' } },
      { clockOffset: null, storeOffsetMs: null, locales: null },
    );
    assert.deepEqual(told(checks), [
      ...['unseen clock-server', 'unseen clock-store', 'unseen time-service', 'unseen server-programs'],
      ...['unseen locales', 'unseen open-files'],
    ]);
  });
});

describe('a store', () => {
  const volumes = { repository: soundHost.volumes.repository, data: soundHost.volumes.data };
  const ofStore = (changes: Partial<typeof soundStore>, places: Partial<typeof volumes> = {}) =>
    judgeStore({ ...soundStore, ...changes }, { ...volumes, ...places });
  const probed = (promise: StorePromise, outcome: PromiseOutcome, changes: Partial<StoreProbe> = {}) => {
    const findings = { ...soundProbe.findings, [promise]: { outcome, found: 'this', expected: 'that' } };
    return { probe: { kind: 'done', facts: { ...soundProbe, findings, ...changes } } } as Partial<typeof soundStore>;
  };
  const away = { directory: null };
  const failed = (code: string) => ({ probe: { kind: 'failed', code, sentence: 'no' } }) as Partial<typeof soundStore>;

  it('that is as it should be gives no finding', () => assert.deepEqual(told(ofStore({})), []));

  const cases: [string, Check[], string[]][] = [
    ['that overwrites', ofStore(probed('create-once', 'broken')), ['problem store-create-once']],
    ['that lets several win', ofStore(probed('create-once-at-once', 'broken')), ['problem store-create-once-at-once']],
    ['that lists late', ofStore(probed('list-after-write', 'broken')), ['problem store-list']],
    ['that gives back other bytes', ofStore(probed('read-after-write', 'broken')), ['problem store-read-back']],
    ['that gives no parts', ofStore(probed('ranged-read', 'broken')), ['problem store-range']],
    ['that gives what was overwritten', ofStore(probed('overwrite', 'broken')), ['problem store-overwrite']],
    ['that does not delete', ofStore(probed('delete', 'broken')), ['problem store-delete']],
    ['that lets nobody overwrite', ofStore(probed('overwrite', 'unseen')), ['problem store-overwrite']],
    [
      'that lets nobody overwrite in a copy',
      judgeStore({ ...soundStore, ...probed('overwrite', 'unseen') }, volumes, 'copy'),
      ['unseen store-overwrite'],
    ],
    ['that lets nobody delete', ofStore(probed('delete', 'unseen')), ['unseen store-delete']],
    ['that is slow', ofStore(probed('create-once', 'kept', { writeMs: 900 })), ['warning store-latency']],
    [
      'in a bucket without versions and locks',
      ofStore({ ...probed('versioning', 'not-offered'), ...away }),
      ['warning store-versioning', 'warning store-lock'],
    ],
    [
      'in a bucket without the locks that the plan asks for',
      ofStore({ ...probed('lock', 'broken'), ...away }),
      ['warning store-versioning', 'problem store-lock'],
    ],
    ['that is read-only', ofStore(failed('STORE_DENIED')), ['problem store-write']],
    ['that is full', ofStore(failed('STORE_FULL')), ['problem store-write']],
    ['in memory', ofStore({}, { repository: volumeWith({ kind: 'tmpfs' }) }), ['problem store-file-system']],
    ['on a share', ofStore({}, { repository: volumeWith({ kind: 'nfs' }) }), ['warning store-file-system']],
    ["on the server's disk", ofStore({}, { repository: volumeWith({ device: 2 }) }), ['warning store-same-disk']],
    ['open to everybody', ofStore({ owner: { mode: 0o777, isOurs: true, user: 0 } }), ['problem store-mode']],
    ['with files left behind', ofStore({ leftOvers: ['/backups/shop/.spool/x'] }), ['warning store-left-overs']],
    ['far from the server', ofStore({}, { data: null }), ['unseen store-same-disk']],
  ];
  for (const [title, checks, expected] of cases) {
    it(`${title}: ${expected.join(', ')}`, () => assert.deepEqual(told(checks), expected));
  }

  it('with a lease of a process that is gone is told so', () => {
    const lease = { purpose: 'backup', host: 'here', pid: 7, startedAt: 0, expiresAt: 1 };
    assert.equal(judgeLeases([{ ...lease, mayBeAlive: false }]).verdict, 'warning');
    assert.equal(judgeLeases([{ ...lease, mayBeAlive: true }]).verdict, 'ok');
  });
});

describe('keys', () => {
  const ofKeys = (changes: Partial<typeof soundKeys>) => judgeKeys({ ...soundKeys, ...changes });
  const opened = soundKeys.opening.kind === 'opened' ? soundKeys.opening : null;
  const one = { ...opened!, slots: opened!.slots.slice(0, 1) };
  const withState = (state: 'removed' | 'left-behind' | 'foreign') => ({
    ...opened!,
    slots: [...opened!.slots, { ...opened!.slots[0]!, inUse: false, state }],
  });
  const rejected = { kind: 'refused', code: 'REPOSITORY_KEY_REJECTED', sentence: 'no', hints: ['Check it.'] } as const;

  it('that are as they should be give no finding', () => assert.deepEqual(told(ofKeys({})), []));

  const cases: [string, Check[], string[]][] = [
    ['that do not fit', ofKeys({ opening: rejected }), ['problem repository-opens', 'unseen key-slots']],
    ['of which there is one', ofKeys({ opening: one }), ['warning key-slots']],
    ['whose slot is damaged', ofKeys({ opening: { ...opened!, damaged: ['keys/x'] } }), ['problem key-slots-damaged']],
    ['one of which was removed and is there', ofKeys({ opening: withState('removed') }), ['warning key-slots-removed']],
    ['one of which lacks an epoch', ofKeys({ opening: withState('left-behind') }), ['warning key-slots-behind']],
    ['one of which nobody made', ofKeys({ opening: withState('foreign') }), ['problem key-slots-foreign']],
    ['with a key service', ofKeys({ source: { kind: 'command' } }), []],
    [
      'in an age identity for everybody',
      ofKeys({ source: { kind: 'age-identity', file: { path: '/etc/id', mode: 0o100644 } } }),
      ['problem key-file-mode'],
    ],
    [
      'in a file for everybody',
      ofKeys({ source: { kind: 'key-file', file: { path: '/etc/key', mode: 0o100644 } } }),
      ['problem key-file-mode'],
    ],
    [
      'that lie in what they open',
      ofKeys({ source: { kind: 'key-file', file: { path: '/backups/shop/key', mode: 0o100600 } } }),
      ['problem key-file-place'],
    ],
    [
      'that nobody gave',
      ofKeys({ opening: { kind: 'unseen', why: 'none' }, source: { kind: 'none' } }),
      ['unseen repository-opens', 'unseen key-slots', 'unseen key-source'],
    ],
  ];
  for (const [title, checks, expected] of cases) {
    it(`${title}: ${expected.join(', ')}`, () => assert.deepEqual(told(checks), expected));
  }
});

describe('the state of protection', () => {
  const now = soundNow;
  const newest = {
    ...{ id: 'a'.repeat(64), completedAt: now - 3_600_000, lineage: 'l', timeline: 1 },
    ...{ walStart: 1n, walEnd: 2n, restorableTo: 9n },
    checksumFailures: [],
    level: 'verified' as const,
    isDamaged: false,
    locks: [],
  };
  const receiver = { running: true, saidAt: now, knownUntil: now, synchronous: false, space: null };
  const place = { system: '7', lineage: 'l', timeline: 1 };
  const wal = { ...place, durableLsn: 9n, segmentBytes: 16, gaps: [], receiver, push: null };
  const sound: ProtectionFacts = {
    status: { cluster: 'shop', now, newest, wal, findings: [] },
    findings: [],
    regressions: [],
  };
  const ofProtection = (changes: Partial<ProtectionFacts['status']>, regressions: string[] | null = []) =>
    judgeProtection({ ...sound, status: { ...sound.status, ...changes }, regressions });
  const noSnapshot = { severity: 'problem', code: 'no-snapshot', sentence: 'None.', advice: null } as const;

  it('that is as it should be gives no finding', () => assert.deepEqual(told(ofProtection({})), []));

  const cases: [string, Check[], string[]][] = [
    ['without a backup', ofProtection({ newest: null, findings: [noSnapshot] }), ['problem no-snapshot']],
    [
      'with an old backup',
      ofProtection({ newest: { ...newest, completedAt: now - 26 * 3_600_000 } }),
      ['warning backup-age'],
    ],
    [
      'with a backup that nobody read',
      ofProtection({ newest: { ...newest, level: 'stored' } }),
      ['warning backup-tested'],
    ],
    ['with a head that is gone', ofProtection({}, ['Entry 3 is gone.']), ['problem ledger-heads']],
    ['with a closed state directory', ofProtection({}, null), ['unseen ledger-heads']],
  ];
  for (const [title, checks, expected] of cases) {
    it(`${title}: ${expected.join(', ')}`, () => assert.deepEqual(told(checks), expected));
  }
});

describe('the door of a receiver for files', () => {
  const verdicts = (mode: number, answers: boolean) => told(judgePushSocket({ path: '/state/a.sock', mode, answers }));

  it('is served and closed to others, or that is told', () => {
    assert.deepEqual(verdicts(0o600, true), []);
    assert.deepEqual(verdicts(0o600, false), ['warning push-socket']);
    assert.deepEqual(verdicts(0o666, true), ['problem push-socket']);
    assert.deepEqual(judgePushSocket(null), []);
  });
});

describe('every finding', () => {
  it('says why it matters and what mends it', () => {
    const checks = [
      ...ofServer({ version: { major: 19, minor: 0, text: '19' }, slots: [], hasChecksums: false, isPrimary: false }),
      ...judgeStore(
        { ...soundStore, probe: { kind: 'failed', code: 'STORE_FULL', sentence: 'x' } },
        { repository: null, data: null },
      ),
    ];
    for (const { verdict, why, mends, sentence } of checks) {
      assert.match(sentence, /^["A-Z\w].*\.$/);
      if (verdict === 'ok' || verdict === 'unseen') assert.deepEqual([why, mends.length], [null, 0]);
      else assert.ok(why !== null && mends.length > 0, sentence);
    }
  });
});

describe('a word that is put into a command', () => {
  it('comes out of the shell as it went in', () => {
    const text = fc.string({
      unit: fc.constantFrom(...'ab \'"$`\\*?!;&|<>()#~\n\t'.split('')),
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(text, (word) => {
        assert.equal(execFileSync('/bin/sh', ['-c', `printf %s ${quoteWord(word)}`], { encoding: 'utf8' }), word);
      }),
      { numRuns: 60 },
    );
  });

  it('stays one literal and one name of SQL', () => {
    assert.equal(quoteLiteral("it's"), "'it''s'");
    assert.equal(quoteLiteral('a\\b'), "E'a\\\\b'");
    assert.equal(quoteIdentifier('holdfast'), 'holdfast');
    assert.equal(quoteIdentifier('user'), '"user"');
    assert.equal(quoteIdentifier('We"ird'), '"We""ird"');
  });
});
