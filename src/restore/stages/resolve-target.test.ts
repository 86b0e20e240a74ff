import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { makeSnapshot } from '../../../test/support/wal-inventory.ts';
import { filler, fillTo, LineageWriter, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { parseLsn } from '../../postgres/index.ts';
import { readWalInventory } from '../../protect/wal/index.ts';
import { attestDoubt } from '../../repository/index.ts';
import { selectSnapshots } from '../select-snapshot.ts';
import type { SnapshotFacts } from '../snapshot-facts.ts';
import { routeTo } from '../wal-route.ts';
import type { PlacedTarget } from './locate-target.ts';
import { resolveTarget } from './resolve-target.ts';

const START = parseLsn('1/0');
const MIB = 1n << 20n;

/** Seconds to microseconds since 1970, from an arbitrary hour on. */
const second = (seconds: number): bigint => 1_780_000_000_000_000n + BigInt(Math.round(seconds * 1_000_000));

/** WAL in which things are written one after the other, and snapshots whose backups ran meanwhile. */
class MadeHistory {
  readonly wal = new WalBuilder({ startLsn: START });
  readonly snapshots: SnapshotFacts[] = [];
  readonly commits = new Map<number, { lsn: bigint; endLsn: bigint }>();

  constructor() {
    this.wal.append(filler(100));
  }

  commit(xid: number, at: number, outcome: 'commit' | 'abort' = 'commit'): void {
    this.wal.append(filler(500));
    const { lsn, endLsn } = this.wal.append(transactionEnd(outcome, xid, second(at)));
    this.commits.set(xid, { lsn, endLsn });
  }

  /** A base backup whose checkpoint began at a time; `meanwhile` is written before it is complete. */
  backUp(name: string, at: number, meanwhile: () => void = () => {}): SnapshotFacts {
    const start = this.wal.lsn % 8n === 0n ? this.wal.lsn : this.wal.lsn + 8n - (this.wal.lsn % 8n);
    const checkpoint = Buffer.alloc(88);
    checkpoint.writeBigUInt64LE(start, 0);
    checkpoint.writeUInt32LE(1, 8);
    checkpoint.writeBigInt64LE(second(at) / 1_000_000n, 64);
    this.wal.append({ resourceManager: 0, info: 0x10, mainData: checkpoint });
    meanwhile();
    const startOf = Buffer.alloc(8);
    startOf.writeBigUInt64LE(start);
    const { endLsn } = this.wal.append({ resourceManager: 0, info: 0x50, mainData: startOf });
    const made = makeSnapshot({ name, lineage: 'unused', wal: [0, 0] });
    const snapshot = { ...made, lineage: 'a'.repeat(64), start, end: endLsn, completedAt: Number(second(at) / 1000n) };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  get end(): bigint {
    return this.wal.lsn % 8n === 0n ? this.wal.lsn : this.wal.lsn + 8n - (this.wal.lsn % 8n);
  }

  /** Stores it all and gives the function under test. */
  async store(test: TestContext) {
    const made = await createRepository(test);
    const writer = await LineageWriter.create(made.repository);
    const objects: string[] = [];
    for (let start = START; start < this.end; start += MIB) {
      const end = start + MIB < this.end ? start + MIB : this.end;
      objects.push(await writer.fragment(this.wal, start, end));
    }
    const resolve = async (target: PlacedTarget, exclusive = false) => {
      const inventory = await readWalInventory(made.repository);
      const route = routeTo(inventory, inventory.lineages[0]!);
      const choice = selectSnapshots({ snapshots: this.snapshots, route, target, exclusive });
      return resolveTarget({ repository: made.repository, route, target, exclusive }, choice);
    };
    return { ...made, objects, resolve };
  }
}

const atTime = (seconds: number): PlacedTarget => ({ kind: 'time', at: second(seconds) });

describe('the place where recovery stops', () => {
  it('is after the last whole record for the latest, also when a broken one follows', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    history.commit(5, 12);
    const whole = history.end;
    history.wal.append(filler(3000));
    const made = await createRepository(test);
    const writer = await LineageWriter.create(made.repository);
    await writer.fragment(history.wal, START, whole + 1000n);
    const inventory = await readWalInventory(made.repository);
    const route = routeTo(inventory, inventory.lineages[0]!);
    const question = { repository: made.repository, route, target: { kind: 'latest' } as const, exclusive: false };
    const { resolved } = await resolveTarget(question, selectSnapshots({ ...question, snapshots: history.snapshots }));
    assert.equal(resolved?.recordLsn, history.commits.get(5)?.lsn);
    assert.equal(resolved?.inclusive, true);
    assert.equal(resolved?.reachedLsn, whole);
    assert.equal(resolved?.lastCommit?.transaction.xid, 5);
  });

  it('is the end of a segment that was left for the next, also when its empty rest did not come', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    history.commit(5, 12);
    const left = history.wal.append({ resourceManager: 0, info: 0x40 });
    const made = await createRepository(test);
    const writer = await LineageWriter.create(made.repository);
    const stored = left.lsn + 24n;
    await writer.fragment(history.wal, START, stored);
    const inventory = await readWalInventory(made.repository);
    const route = routeTo(inventory, inventory.lineages[0]!);
    const question = { repository: made.repository, route, target: { kind: 'latest' } as const, exclusive: false };
    const { resolved } = await resolveTarget(question, selectSnapshots({ ...question, snapshots: history.snapshots }));
    assert.equal(resolved?.recordLsn, left.lsn);
    assert.equal(resolved?.reachedLsn, START + MIB);
    assert.equal(resolved?.neededEnd, stored, 'no more is needed than is stored');
  });

  it('is where the base backup is consistent for the immediate one, also when that is inside a record', async (test) => {
    const history = new MadeHistory();
    const snapshot = history.backUp('only', 10);
    const [ending] = history.wal.records.slice(-1);
    history.commit(5, 12);
    const { resolve, repository } = await history.store(test);
    const { resolved } = await resolve({ kind: 'immediate' });
    assert.equal(resolved?.recordLsn, ending!.lsn);
    assert.equal(resolved?.reachedLsn, snapshot.end);
    assert.match(resolved?.notes.join() ?? '', /earliest position/);
    // As a standby may say it.
    const inside = { ...snapshot, end: snapshot.end + 40n };
    const inventory = await readWalInventory(repository);
    const route = routeTo(inventory, inventory.lineages[0]!);
    const question = { repository, route, target: { kind: 'immediate' } as const, exclusive: false };
    const later = await resolveTarget(question, selectSnapshots({ ...question, snapshots: [inside] }));
    assert.ok(later.resolved!.reachedLsn >= inside.end);
    assert.equal(later.resolved!.inclusive, true);
  });

  it('is reached from a snapshot in doubt only where no other one leads there, and then says so', async (test) => {
    const history = new MadeHistory();
    const first = history.backUp('first', 10);
    history.commit(5, 12);
    const between = history.end;
    const second = history.backUp('second', 20);
    history.commit(6, 22);
    const { resolve, repository } = await history.store(test);
    const latest = async () => {
      const { resolved, rejected } = await resolve({ kind: 'latest' });
      return { used: resolved!.candidate.snapshot.id, notes: resolved!.notes.join(), rejected };
    };
    const doubt = (snapshot: string) => attestDoubt(repository, { snapshots: [snapshot], facts: {} });
    assert.equal((await latest()).used, second.id);
    await doubt(second.id);
    const passed = await latest();
    assert.equal(passed.used, first.id);
    assert.deepEqual(
      passed.rejected.map(({ snapshot, reason }) => [snapshot.id, reason]),
      [[second.id, 'a cross-check found that it may lack changes']],
    );
    assert.doesNotMatch(passed.notes, /cross-check/);
    await doubt(first.id);
    const only = await latest();
    assert.equal(only.used, second.id, 'the newest of those in doubt');
    assert.match(only.notes, /may lack changes. It is taken as it was named, or as no other one leads to the target/);
    assert.deepEqual(
      only.rejected.map(({ snapshot }) => snapshot.id),
      [first.id],
    );
    const before = await resolve({ kind: 'lsn', lsn: between - 8n });
    assert.equal(before.resolved!.candidate.snapshot.id, first.id);
    assert.match(before.resolved!.notes.join(), /may lack changes/);
  });

  it('says what is left out, or replayed last, at a position', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    history.commit(5, 12);
    history.commit(6, 13, 'abort');
    const { resolve } = await history.store(test);
    const notes = async (lsn: bigint, exclusive: boolean) =>
      (await resolve({ kind: 'lsn', lsn }, exclusive)).resolved!.notes.join();
    assert.match(await notes(history.commits.get(5)!.lsn, true), /left out is the commit of transaction 5 of 2026-/);
    assert.match(await notes(history.commits.get(6)!.lsn, false), /replayed is the rollback of transaction 6 of 2026-/);
    assert.match(
      await notes(history.commits.get(5)!.endLsn, true),
      /left out is the record at .*, which ends no transaction/,
    );
  });

  it('is before or after the record that begins at the position or behind it', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    for (const xid of [5, 6, 7]) history.commit(xid, xid + 6);
    const { resolve } = await history.store(test);
    const sixth = history.commits.get(6)!;
    for (const lsn of [sixth.lsn, sixth.lsn - 8n]) {
      const inclusive = (await resolve({ kind: 'lsn', lsn })).resolved!;
      assert.deepEqual([inclusive.recordLsn, inclusive.inclusive], [sixth.lsn, true]);
      assert.equal(inclusive.reachedLsn, sixth.endLsn);
      assert.equal(inclusive.lastCommit?.transaction.xid, 6);
      const exclusive = (await resolve({ kind: 'lsn', lsn }, true)).resolved!;
      assert.deepEqual([exclusive.recordLsn, exclusive.inclusive], [sixth.lsn, false]);
      assert.equal(exclusive.neededEnd, sixth.endLsn, 'the record that is left out must be there to be seen');
      assert.equal(exclusive.lastCommit?.transaction.xid, 5);
    }
  });

  it('finds the record before one that begins a segment', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    fillTo(history.wal, START + 2n * MIB);
    const [first] = history.wal.records.filter((record) => record.lsn >= START + MIB);
    const before = history.wal.records[history.wal.records.indexOf(first!) - 1]!;
    const { resolve } = await history.store(test);
    const { resolved } = await resolve({ kind: 'lsn', lsn: first!.lsn }, true);
    assert.equal(resolved?.reachedLsn, before.endLsn);
  });

  it('is before the first commit that is later than the time, and names the ones that come too late to be there', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    history.commit(5, 12);
    history.commit(6, 15);
    history.commit(7, 13);
    const { resolve } = await history.store(test);
    const { resolved } = await resolve(atTime(14));
    assert.equal(resolved?.recordLsn, history.commits.get(6)?.lsn);
    assert.equal(resolved?.inclusive, false);
    assert.equal(resolved?.lastCommit?.transaction.xid, 5);
    assert.match(resolved?.notes.join() ?? '', /a transaction of before .* stand behind the position .*: 7 \(/);
    const exclusive = (await resolve(atTime(12), true)).resolved;
    assert.equal(
      exclusive?.recordLsn,
      history.commits.get(5)?.lsn,
      'exclusive, a commit of that very moment is left out',
    );
    assert.equal((await resolve(atTime(12))).resolved?.recordLsn, history.commits.get(6)?.lsn);
  });

  it('comes from the newest backup that holds nothing of after the time', async (test) => {
    const history = new MadeHistory();
    const first = history.backUp('first', 10);
    history.commit(5, 12);
    const second = history.backUp('second', 20, () => history.commit(6, 25));
    history.commit(7, 30);
    const { resolve } = await history.store(test);
    assert.equal((await resolve(atTime(26))).resolved?.candidate.snapshot.id, second.id);
    // Begun before the time, but a transaction of after it ended while it ran.
    const between = await resolve(atTime(24));
    assert.equal(between.resolved?.candidate.snapshot.id, first.id);
    assert.match(between.rejected[0]?.reason ?? '', /it holds a transaction of .*, after the target/);
    assert.equal(between.resolved?.recordLsn, history.commits.get(6)?.lsn);
  });

  it('does not come from a backup that began in the very second: nobody can tell what that already holds', async (test) => {
    const history = new MadeHistory();
    const first = history.backUp('first', 10);
    const second = history.backUp('second', 20);
    history.commit(7, 30);
    const { resolve } = await history.store(test);
    const same = await resolve(atTime(20.5));
    assert.equal(same.resolved?.candidate.snapshot.id, first.id);
    assert.match(same.rejected[0]?.reason ?? '', /it began in the second of .* may hold what came after the target/);
    assert.equal((await resolve(atTime(21))).resolved?.candidate.snapshot.id, second.id);
  });

  it('is nowhere when every backup is too late, or the time is not known any more', async (test) => {
    const history = new MadeHistory();
    history.backUp('only', 10);
    history.commit(5, 12);
    const { resolve } = await history.store(test);
    const early = await resolve(atTime(9));
    assert.equal(early.resolved, null);
    const late = await resolve(atTime(13));
    assert.equal(late.resolved, null);
    assert.match(late.rejected[0]?.reason ?? '', /what is stored behind it ends at .*, before the target/);
  });

  it('comes from an older backup, with the reason, when the WAL of the newer one is damaged', async (test) => {
    const history = new MadeHistory();
    const first = history.backUp('first', 10);
    history.commit(5, 12);
    fillTo(history.wal, START + 2n * MIB + 1000n);
    const second = history.backUp('second', 20);
    history.commit(6, 21);
    const { resolve, store, objects } = await history.store(test);
    const target: PlacedTarget = { kind: 'lsn', lsn: history.commits.get(5)!.lsn };
    assert.equal((await resolve({ kind: 'latest' })).resolved?.candidate.snapshot.id, second.id);
    const bytes = await store.get(objects[2]!);
    bytes[bytes.length - 40]! ^= 1;
    await store.delete(objects[2]!);
    await store.putIfAbsent(objects[2]!, bytes);
    const latest = await resolve({ kind: 'latest' });
    assert.equal(latest.resolved, null, 'what lies behind damaged WAL cannot be reached, and is not passed off');
    assert.match(latest.rejected[0]?.reason ?? '', /WAL behind it is damaged/);
    assert.equal((await resolve(target)).resolved?.candidate.snapshot.id, first.id);
  });
});
