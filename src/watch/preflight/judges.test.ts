import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  ofServer,
  soundHost,
  soundKeys,
  soundNow,
  soundProbe,
  soundRights,
  soundServer,
  soundStore,
  told,
  volumeWith,
} from '../../../test/support/preflight-facts.ts';
import type { PromiseOutcome, StoreProbe, StorePromise } from '../../repository/index.ts';
import { type Check, quoteIdentifier, quoteLiteral, quoteWord } from './check.ts';
import { judgeHost } from './judge-host.ts';
import { judgeKeys } from './judge-keys.ts';
import { judgeProtection, type ProtectionFacts } from './judge-protection.ts';
import { hbaLine, judgeRights, type LinkFacts, type RightsFacts } from './judge-rights.ts';
import { judgeLeases, judgeStore } from './judge-store.ts';
import { judgePushSocket } from './push-socket.ts';
import type { ServerFacts } from './server-facts.ts';

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
    isDoubtful: false,
    onlyIn: null,
    locks: [],
  };
  const receiver = { running: true, saidAt: now, knownUntil: now, synchronous: false, space: null };
  const place = { system: '7', lineage: 'l', timeline: 1 };
  const wal = { ...place, durableLsn: 9n, segmentBytes: 16, gaps: [], receiver, streamedAt: now, push: null };
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
