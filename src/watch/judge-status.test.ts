import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JudgedSpace } from '../protect/wal/index.ts';
import { judgeCluster } from './judge-status.ts';
import type { ClusterFacts, SnapshotFacts, WalFacts } from './status.ts';

const now = 1_800_000_000_000;
const day = 86_400_000;

const newest: SnapshotFacts = {
  id: 'a'.repeat(64),
  completedAt: now - 3_600_000,
  level: 'verified',
  isDamaged: false,
  isDoubtful: false,
  onlyIn: null,
  locks: [],
  checksumFailures: [],
  lineage: 'l1',
  timeline: 1,
  walStart: 0x1000n,
  walEnd: 0x2000n,
  restorableTo: 0x9000n,
};

const wal: WalFacts = {
  system: '7',
  lineage: 'l1',
  timeline: 1,
  durableLsn: 0x9000n,
  gaps: [],
  receiver: { running: true, saidAt: now - 2_000, knownUntil: now - 1_000, synchronous: false, space: null },
  segmentBytes: 0x1000,
  streamedAt: now - 2_000,
  push: null,
};

const tight: JudgedSpace = {
  slotBytes: 2n ** 34n,
  slotStatus: 'unreserved',
  safeBytes: 0n,
  walBytes: 2n ** 35n,
  freeBytes: 2n ** 30n,
  budgetBytes: 2 ** 33,
  isOverBudget: true,
  growthPerSecond: 2 ** 20,
  fullInSeconds: 1024,
  lostInSeconds: 0,
};

const well: ClusterFacts = {
  cluster: 'shop',
  now,
  misdated: [],
  backupIntervalMs: null,
  snapshotCount: 3,
  newest,
  wal,
  server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0x9000n },
};

function codes(facts: Partial<ClusterFacts>): string[] {
  return judgeCluster({ ...well, ...facts }).map(({ severity, code }) => `${severity} ${code}`);
}

describe('a cluster', () => {
  it('with a snapshot, running WAL and nothing missing has no findings', () => {
    assert.deepEqual(codes({}), []);
  });

  const cases: [string, Partial<ClusterFacts>, string[]][] = [
    ['without a snapshot is a problem', { newest: null, snapshotCount: 0 }, ['problem no-snapshot']],
    [
      'with a snapshot that is dated later than it was stored is a problem',
      { misdated: ['b'.repeat(64)] },
      ['problem snapshot-misdated'],
    ],
    [
      'whose locks last until the next backup and longer has no findings',
      { newest: { ...newest, locks: [{ place: 'far', until: now + 9 * day }] }, backupIntervalMs: 7 * day },
      [],
    ],
    [
      'whose locks run out before the next backup is due is told so',
      { newest: { ...newest, locks: [{ place: 'far', until: now + 7 * day }] }, backupIntervalMs: 7 * day },
      ['notice lock-too-short'],
    ],
    [
      'whose locks have run out in every place is a problem',
      {
        newest: {
          ...newest,
          locks: [
            { place: 'far', until: now - 1 },
            { place: 'near', until: now - day },
          ],
        },
      },
      ['problem lock-ran-out'],
    ],
    [
      'whose newest snapshot lacks WAL of its own is a problem',
      { newest: { ...newest, restorableTo: 0x1800n } },
      ['problem snapshot-without-wal'],
    ],
    [
      'whose newest snapshot is in doubt is a problem',
      { newest: { ...newest, isDoubtful: true } },
      ['problem snapshot-doubtful'],
    ],
    [
      'whose newest snapshot holds pages that the server found damaged is a problem',
      { newest: { ...newest, checksumFailures: ['checksum verification failed in file "base/5/1"'] } },
      ['problem damaged-pages'],
    ],
    [
      'whose WAL goes on in another lineage needs a new snapshot',
      { newest: { ...newest, lineage: 'l0' } },
      ['problem lineage-without-snapshot'],
    ],
    [
      'with a gap after its newest snapshot is a problem, as nothing after it can be reached',
      { wal: { ...wal, gaps: [{ start: 0x3000n, end: 0x4000n, cost: 'No moment in it can be restored.' }] } },
      ['problem gap'],
    ],
    [
      'with a gap before its newest snapshot is merely told',
      { wal: { ...wal, gaps: [{ start: 0x800n, end: 0x1000n, cost: 'No moment in it can be restored.' }] } },
      ['notice old-gap'],
    ],
    [
      'with a gap that reaches into its newest snapshot is a problem',
      { wal: { ...wal, gaps: [{ start: 0x800n, end: 0x1001n, cost: 'No moment in it can be restored.' }] } },
      ['problem gap'],
    ],
    [
      'whose WAL comes file by file is told how, and may be one segment behind its server',
      {
        wal: {
          ...wal,
          receiver: null,
          push: { saidAt: now - 60_000, file: '000000010000000000000009', endLsn: 0x9000n },
        },
        server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0xa800n },
      },
      ['notice push-only'],
    ],
    [
      'whose archiver is stuck is a problem',
      {
        wal: {
          ...wal,
          receiver: null,
          push: { saidAt: now - 60_000, file: '000000010000000000000009', endLsn: 0x9000n },
        },
        server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0xb800n },
      },
      ['problem behind-server', 'notice push-only'],
    ],
    [
      'whose server keeps more WAL than the budget, on a slot that is about to lose some, is a problem twice',
      { wal: { ...wal, receiver: { ...wal.receiver!, space: tight } } },
      ['problem wal-budget', 'problem slot-endangered'],
    ],
    ['without any WAL is told what it would lose', { wal: null }, ['notice no-wal']],
    [
      'without a receiver is told so while the server has nothing more',
      { wal: { ...wal, receiver: null } },
      ['notice no-receiver'],
    ],
    [
      'that never had a receiver but for its backups is told what its server has more',
      {
        wal: { ...wal, receiver: { ...wal.receiver!, running: false }, streamedAt: null },
        server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0xffff_ffffn },
      },
      ['notice no-receiver', 'notice behind-server'],
    ],
    [
      'whose receiver stopped this minute, as for an upgrade, is told so',
      {
        wal: { ...wal, receiver: { ...wal.receiver!, running: false }, streamedAt: now - 60_000 },
        server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0xa000n },
      },
      ['notice no-receiver', 'notice behind-server'],
    ],
    [
      'whose receiver stopped longer ago is a problem once the server has more, however little',
      {
        wal: { ...wal, receiver: { ...wal.receiver!, running: false }, streamedAt: now - 60_001 },
        server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0x9001n },
      },
      ['problem behind-server', 'notice no-receiver'],
    ],
    [
      'whose receiver stopped is told so while the server has nothing more',
      { wal: { ...wal, receiver: { ...wal.receiver!, running: false }, streamedAt: now - 600_000 } },
      ['notice no-receiver'],
    ],
    [
      'whose receiver runs and does not catch up is a problem',
      { wal: { ...wal, receiver: { ...wal.receiver!, knownUntil: now - 61_000 } } },
      ['problem receiver-behind'],
    ],
    [
      'whose receiver is a little behind the server is none',
      { server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0xa000n } },
      [],
    ],
    [
      'whose server is another one is a problem',
      { server: { kind: 'answered', system: '8', timeline: 1, flushLsn: 0x9000n } },
      ['problem other-system'],
    ],
    [
      'whose server lost what is kept is a problem',
      { server: { kind: 'answered', system: '7', timeline: 1, flushLsn: 0x8000n } },
      ['problem server-behind'],
    ],
    [
      'whose server does not answer is told so and judged by what is kept',
      { server: { kind: 'unreachable', sentence: 'connection refused.' } },
      ['notice server-unreachable'],
    ],
  ];
  for (const [title, facts, expected] of cases) it(title, () => assert.deepEqual(codes(facts), expected));

  it('has its problems told before its notices', () => {
    const findings = codes({ newest: null, wal: { ...wal, receiver: null, gaps: [{ start: 1n, end: 2n, cost: '' }] } });
    assert.deepEqual(findings, ['problem no-snapshot', 'problem gap', 'notice no-receiver']);
  });
});
