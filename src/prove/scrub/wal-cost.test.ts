import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { silentProgress, systemClock } from '../../lib/index.ts';
import { formatLsn } from '../../postgres/index.ts';
import {
  commitSnapshot,
  newSnapshotId,
  PackWriter,
  type Repository,
  type SnapshotRecord,
  TreeWriter,
  writeIndexObjects,
} from '../../repository/index.ts';
import type { VerificationResult } from './verdict.ts';
import { type VerifyOptions, verifySnapshots } from './verify-snapshots.ts';

const MIB = 1024n * 1024n;
const FIRST = 0x1_0000_0000n;

/** Microseconds since 1970, from an arbitrary hour on. */
const minute = (minutes: number): bigint => 1_780_000_000_000_000n + BigInt(minutes) * 60_000_000n;
const inMs = (minutes: number): number => Number(minute(minutes) / 1000n);

/** A snapshot of an empty directory, with WAL [start, end). */
async function storeSnapshot(repository: Repository, lineage: string, start: bigint, end: bigint, minutes: number) {
  const nodes: Buffer[] = [];
  const tree = new TreeWriter(async (raw) => {
    nodes.push(Buffer.from(raw));
    return repository.keys.identifyChunk(raw);
  });
  await tree.add({ type: 'directory', path: `data/${minutes}`, mode: 0o700, mtimeMs: 1 });
  const summary = await tree.finish();
  const spoolPath = `${await repository.store.spoolDirectory()}/${randomBytes(8).toString('hex')}`;
  const writer = new PackWriter({ keys: repository.keys, content: 'tree', spoolPath });
  for (const raw of nodes) writer.append(repository.keys.identifyChunk(raw), raw, null);
  const pack = writer.finish();
  await repository.store.putFileIfAbsent(pack.name, pack.spoolPath);
  await writeIndexObjects(repository, [pack]);
  const at = new Date(inMs(minutes)).toISOString();
  const snapshot: SnapshotRecord = {
    ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: 'main', writer: 'ab'.repeat(16) },
    ...{ startedAt: at, completedAt: at, tree: summary, stored: { newChunks: 1, newBytes: 1, storedBytes: 1 } },
    wal: { system: '7', lineage, timeline: 1, start: formatLsn(start), end: formatLsn(end) },
    details: {},
  };
  await commitSnapshot(repository, snapshot);
  return snapshot;
}

/** Five segments with a commit in the middle of each, at minutes 10, 20, …; snapshots in the first and in the fourth. */
async function makeWorld(test: TestContext) {
  const { repository, store, scratch } = await createRepository(test);
  const wal = new WalBuilder({ startLsn: FIRST });
  for (let i = 0n; i < 5n; i++) {
    fillTo(wal, FIRST + i * MIB + MIB / 2n);
    wal.append(transactionEnd('commit', 100 + Number(i), minute(10 * (Number(i) + 1))));
  }
  fillTo(wal, FIRST + 5n * MIB);
  const writer = await LineageWriter.create(repository);
  const segments: string[] = [];
  for (let i = 0n; i < 5n; i++) segments.push(await writer.segment(wal, FIRST / MIB + i));
  const { lineage } = writer.place;
  const at = (segments: number, bytes = 0n) => FIRST + BigInt(segments) * MIB + bytes;
  const early = await storeSnapshot(repository, lineage, at(0, 8192n), at(0, 16_384n), 5);
  const late = await storeSnapshot(repository, lineage, at(3, 8192n), at(3, MIB - 8192n), 41);
  const verify = (options: Partial<VerifyOptions> = {}): Promise<VerificationResult> =>
    verifySnapshots({
      ...{ repository, record: false, stateDirectory: scratch, clock: systemClock, progress: silentProgress },
      ...options,
    });
  const corrupt = async (name: string) => {
    const bytes = await store.get(name);
    bytes[bytes.length >> 1]! ^= 1;
    await store.delete(name);
    await store.putIfAbsent(name, bytes);
  };
  return { repository, store, wal, writer, segments, early, late, at, verify, corrupt };
}

describe('the cost of lost WAL', () => {
  it('runs from its start to the end of the next snapshot that was begun behind it, in positions and in moments', async (test) => {
    const { segments, at, late, verify, corrupt } = await makeWorld(test);
    await corrupt(segments[1]!);
    const [found, ...others] = (await verify()).damage;
    assert.deepEqual([found!.object, others.length, found!.snapshots], [segments[1], 0, []]);
    const [cost] = found!.wal;
    assert.deepEqual([cost!.lostStart, cost!.lostEnd, cost!.from], [at(1), at(2), at(1)]);
    assert.equal(formatLsn(cost!.to!), late.wal.end);
    assert.deepEqual([cost!.fromTime, cost!.toTime], [inMs(10), inMs(40)], 'of the commits beside it');
    assert.match(found!.costSentence, /no moment after .* and before .* \(30 min\) can be restored/);
  });

  it('has no end while no snapshot was begun behind it', async (test) => {
    const { segments, at, verify, corrupt } = await makeWorld(test);
    await corrupt(segments[4]!);
    const [cost] = (await verify()).damage[0]!.wal;
    assert.deepEqual([cost!.from, cost!.to, cost!.fromTime, cost!.toTime], [at(4), null, inMs(40), null]);
  });

  it('takes every snapshot whose own WAL it holds, which then ends no loss either', async (test) => {
    const { segments, early, late, verify, corrupt } = await makeWorld(test);
    await corrupt(segments[3]!);
    await corrupt(segments[1]!);
    const result = await verify();
    const byObject = new Map(result.damage.map((each) => [each.object, each]));
    assert.deepEqual(
      byObject.get(segments[3]!)!.snapshots.map(({ snapshot }) => snapshot),
      [late.id],
    );
    assert.match(byObject.get(segments[3]!)!.costSentence, /1 of 2 snapshots cannot be restored whole/);
    assert.equal(byObject.get(segments[1]!)!.wal[0]!.to, null, 'the snapshot behind it is lost itself');
    const verdicts = new Map(result.snapshots.map(({ snapshot, problems }) => [snapshot.id, problems]));
    assert.deepEqual(verdicts.get(early.id), []);
    assert.equal(verdicts.get(late.id)![0]!.kind, 'wal');
  });

  it('is nothing where fragments hold the same WAL, and only the rest where they hold a part', async (test) => {
    const { wal, writer, segments, at, verify, corrupt } = await makeWorld(test);
    await corrupt(segments[1]!);
    await writer.fragment(wal, at(1), at(1, 8192n * 10n));
    const [cost] = (await verify()).damage[0]!.wal;
    assert.equal(cost!.lostStart, at(1, 8192n * 10n));
    await writer.fragment(wal, at(1, 8192n * 10n), at(2));
    const [found] = (await verify()).damage;
    assert.deepEqual([found!.state, found!.wal], ['harmless', []]);
  });

  it('is that of damage when a segment is gone of which the commit index tells, and none when older WAL was let go', async (test) => {
    const { repository, store, segments, at, early, verify } = await makeWorld(test);
    for (const name of segments) {
      await repository.putBody('wal-landmarks', name.replace('/segments/', '/landmarks/'), Buffer.from('any'));
    }
    assert.deepEqual((await verify()).damage, []);
    await store.delete(segments[1]!);
    const [found, ...others] = (await verify()).damage;
    assert.deepEqual([found!.object, others.length, found!.wal[0]!.from], [segments[1], 0, at(1)]);
    assert.match(found!.sentences[0]!, /as the commit index says, and is not there/);
    await store.delete(segments[0]!);
    assert.deepEqual((await verify()).damage, []);
    assert.ok(
      (await verify()).snapshots.some(({ snapshot, problems }) => snapshot.id === early.id && problems.length > 0),
    );
  });

  it('is found by a range or a time, and not outside of it', async (test) => {
    const { store, segments, at, verify, corrupt } = await makeWorld(test);
    await corrupt(segments[1]!);
    const range = async (from: bigint, to: bigint) =>
      (await verify({ snapshots: [], wal: { kind: 'range', from, to } })).damage.map(({ object }) => object);
    assert.deepEqual(await range(at(1, 5n), at(1, 6n)), [segments[1]]);
    assert.deepEqual(await range(at(2), at(5)), []);
    assert.deepEqual(
      (await verify({ snapshots: [], wal: { kind: 'range', from: at(2), to: at(4) } })).walObjectsChecked,
      2,
    );
    const { modifiedAt } = (await store.stat(segments[1]!))!;
    const since = async (moment: number) =>
      (await verify({ snapshots: [], wal: { kind: 'since', since: moment } })).damage.length;
    assert.deepEqual([await since(modifiedAt), await since(modifiedAt + 1)], [1, 0]);
    const other = { kind: 'range', cluster: 'other', from: at(0), to: at(5) } as const;
    assert.equal((await verify({ snapshots: [], wal: other })).walObjectsChecked, 0);
  });
});
