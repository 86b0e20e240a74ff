import assert from 'node:assert/strict';
import { type ProbeFinding, type StoreProbe, type StorePromise, storePromises } from '../../src/repository/index.ts';
import type { Check } from '../../src/watch/preflight/check.ts';
import type { HostFacts } from '../../src/watch/preflight/host-facts.ts';
import { judgeArchiving } from '../../src/watch/preflight/judge-archiving.ts';
import { judgeContents } from '../../src/watch/preflight/judge-contents.ts';
import { judgeReplication } from '../../src/watch/preflight/judge-replication.ts';
import type { RightsFacts } from '../../src/watch/preflight/judge-rights.ts';
import { judgeServer } from '../../src/watch/preflight/judge-server.ts';
import type { KeysFacts } from '../../src/watch/preflight/keys-facts.ts';
import type { ServerFacts, SettingFacts } from '../../src/watch/preflight/server-facts.ts';
import type { StoreFacts } from '../../src/watch/preflight/store-facts.ts';
import type { VolumeFacts } from '../../src/watch/volume.ts';

/** The moment at which all of these facts are looked at: 2026-06-01, when every major was still supported. */
export const soundNow = Date.UTC(2026, 5, 1);

const soundSettings: Readonly<Record<string, string | readonly [value: string, unit: string]>> = {
  ...{ wal_level: 'replica', fsync: 'on', full_page_writes: 'on', wal_log_hints: 'off', summarize_wal: 'off' },
  ...{ max_wal_senders: '10', max_replication_slots: '10', archive_mode: 'off', archive_command: '(disabled)' },
  ...{ archive_library: '', synchronous_standby_names: '', shared_preload_libraries: '', port: '5432' },
  ...{ data_directory: '/var/lib/postgresql/18/main', hba_file: '/etc/postgresql/18/main/pg_hba.conf' },
  ...{ max_slot_wal_keep_size: ['65536', 'MB'], wal_sender_timeout: ['60000', 'ms'], archive_timeout: ['0', 's'] },
  ...{ idle_replication_slot_timeout: ['0', 's'], max_wal_size: ['1024', 'MB'], wal_keep_size: ['0', 'MB'] },
};

/** The settings of a sound server with some of them otherwise. */
export function settingsWith(changes: typeof soundSettings = {}): Map<string, SettingFacts> {
  return new Map(
    Object.entries({ ...soundSettings, ...changes }).map(([name, given]) => {
      const [value, unit] = typeof given === 'string' ? [given, ''] : given;
      return [name, { value, unit, isPendingRestart: false, origin: 'default' }];
    }),
  );
}

/** A server about which there is nothing to say. */
export const soundServer: ServerFacts = {
  version: { major: 18, minor: 4, text: '18.4' },
  isPrimary: true,
  system: '7400000000000000001',
  timeline: 1,
  blockBytes: 8192,
  walSegmentBytes: 16 * 1024 ** 2,
  hasChecksums: true,
  settings: settingsWith(),
  slots: [
    {
      ...{ name: 'holdfast_shop', isPhysical: true, isTemporary: false, isActive: true },
      ...{ walStatus: 'reserved', invalidation: null, keptBytes: 1_000_000 },
    },
  ],
  senders: [{ applicationName: 'holdfast_shop' }],
  archiver: { lastArchivedAt: null, lastFailedAt: null, lastFailedName: null, failedCount: 0 },
  walDirectoryBytes: 64 * 1024 ** 2,
  waitingForArchive: 0,
  walBytesPerSecond: 1000,
  preparedTransactions: [],
  tablespaces: [],
  customResourceManagers: [],
  configurationErrors: [],
  locales: [{ database: 'shop', provider: 'libc', locale: 'C.UTF-8', versions: null }],
  databases: [{ kind: 'seen', name: 'shop', unloggedTables: [], staleCollations: [] }],
  role: {
    ...{ name: 'holdfast', isSuperuser: false, mayReplicate: true, mayMonitor: true, passwordValidUntil: null },
  },
  addresses: { client: '192.0.2.7', server: '192.0.2.1' },
  clockOffset: { ms: 3, uncertaintyMs: 1 },
};

export const soundRights: RightsFacts = {
  link: {
    ...{ host: 'db.example.com', user: 'holdfast', isOnThisHost: false, clientAddress: '192.0.2.7' },
    ...{ sslMode: 'verify-full', isEncrypted: true, passwordFile: { path: '/home/ann/.pgpass', mode: 0o100600 } },
  },
  server: soundServer,
  replication: { kind: 'done', isEncrypted: true },
  now: soundNow,
};

export function volumeWith(changes: Partial<VolumeFacts> = {}): VolumeFacts {
  return {
    ...{ path: '/backups/shop', seenAt: '/backups', kind: 'xfs', device: 1 },
    ...{ totalBytes: 1000 * 1024 ** 3, freeBytes: 800 * 1024 ** 3, totalFiles: 1_000_000, freeFiles: 900_000 },
    ...changes,
  };
}

export const soundHost: HostFacts = {
  nodeVersion: '24.21.0',
  volumes: {
    repository: volumeWith(),
    state: volumeWith({ path: '/var/lib/holdfast', seenAt: '/var/lib', device: 2 }),
    data: volumeWith({ path: '/var/lib/postgresql/18/main', seenAt: '/var/lib/postgresql/18/main', device: 2 }),
  },
  stateProblem: null,
  openFilesMax: 65_536,
  isTimeSynchronized: true,
  serverPrograms: { kind: 'found', directory: '/usr/lib/postgresql/18/bin', version: '18.4' },
  locales: ['c.utf8', 'en_us.utf8'],
  isRoot: false,
  serverUsers: [],
};

/** A disk, which has neither versions nor locks. */
export const soundProbe: StoreProbe = {
  findings: {
    ...(Object.fromEntries(
      storePromises.map((promise) => [promise, { outcome: 'kept', found: 'it', expected: 'it' }]),
    ) as Record<StorePromise, ProbeFinding>),
    versioning: { outcome: 'not-offered', found: 'off', expected: 'older versions kept' },
    lock: { outcome: 'not-offered', found: 'off', expected: 'locks, where they are asked for' },
  },
  ...{ writeMs: 4, readMs: 1, offsetMs: 0, leftBehind: [] },
};

export const soundStore: StoreFacts = {
  description: 'disk "/backups/shop"',
  directory: '/backups/shop',
  probe: { kind: 'done', facts: soundProbe },
  owner: { mode: 0o755, isOurs: true, user: 1000 },
  leftOvers: [],
};

const soundSlot = { createdAt: '2026-01-01T00:00:00Z', state: 'open', epoch: 1, recipients: [] } as const;

export const soundKeys: KeysFacts = {
  opening: {
    kind: 'opened',
    slots: [
      { ...soundSlot, slot: 'a', kind: 'key-file', label: 'first', inUse: true },
      { ...soundSlot, slot: 'b', kind: 'passphrase', label: 'safe', inUse: false },
    ],
    damaged: [],
  },
  source: { kind: 'key-file', file: { path: '/etc/holdfast/key', mode: 0o100600 } },
  repositoryDirectory: '/backups/shop',
};

/** What is not as it should be, as `problem code`. */
export function told(checks: readonly Check[]): string[] {
  return checks.filter(({ verdict }) => verdict !== 'ok').map(({ verdict, code }) => `${verdict} ${code}`);
}

/** The commands of the one finding that there is. */
export function mendsOf(checks: readonly Check[]): string[] {
  const findings = checks.filter(({ verdict }) => verdict !== 'ok');
  assert.equal(findings.length, 1);
  return findings[0]!.mends.map(({ kind, text }) => `${kind}: ${text}`);
}

/** Every check of a sound server, but for some facts. */
export function ofServer(changes: Partial<ServerFacts>, now = soundNow, knownSystems: string[] | null = []): Check[] {
  const facts = { ...soundServer, ...changes };
  return [
    ...judgeServer(facts, { cluster: 'shop', knownSystems, now }),
    ...judgeReplication(facts, { slot: 'holdfast_shop', walDirectoryFreeBytes: null }),
    ...judgeArchiving(facts, { receiverRuns: false }),
    ...judgeContents(facts),
  ];
}
