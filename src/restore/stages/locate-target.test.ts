import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { type RecordParts, WalBuilder } from '../../../test/support/wal-builder.ts';
import { filler, LineageWriter, testSystem, transactionEnd } from '../../../test/support/wal-lineage.ts';
import type { HoldfastError } from '../../lib/index.ts';
import { formatLsn, timestampToServer } from '../../postgres/index.ts';
import { readWalInventory } from '../../protect/wal/index.ts';
import { parseRecoveryTarget } from '../recovery-target.ts';
import { listRoutes, routeTo } from '../wal-route.ts';
import { locateTarget } from './locate-target.ts';

const START = 0x1_0000_0000n;
const second = (seconds: number): bigint => 1_780_000_000_000_000n + BigInt(seconds) * 1_000_000n;
const serverTime = (seconds: number) => Buffer.from(BigInt64Array.of(timestampToServer(second(seconds))).buffer);
const uint32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);

function withSubtransactions(xid: number, at: number, subs: number[]): RecordParts {
  const mainData = Buffer.concat([serverTime(at), uint32(2, subs.length, ...subs)]);
  return { resourceManager: 1, info: 0x80, xid, mainData };
}

function prepare(xid: number, at: number, name: string): RecordParts {
  const head = Buffer.alloc(72);
  head.writeUInt32LE(xid, 8);
  serverTime(at).copy(head, 16);
  head.writeUInt16LE(name.length + 1, 54);
  return { resourceManager: 1, info: 0x10, xid, mainData: Buffer.concat([head, Buffer.from(`${name}\0`)]) };
}

function checkpoint(nextXid: bigint): RecordParts {
  const mainData = Buffer.alloc(88);
  mainData.writeBigUInt64LE(nextXid, 24);
  return { resourceManager: 0, info: 0x10, mainData };
}

const restorePoint = (name: string, at: number): RecordParts => ({
  resourceManager: 0,
  info: 0x70,
  mainData: Buffer.concat([serverTime(at), Buffer.from(`${name}\0`), Buffer.alloc(40)]),
});

/** WAL of these records in one lineage, and the function under test. */
async function history(test: TestContext, records: readonly RecordParts[]) {
  const { repository } = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  wal.append(filler(100));
  const made = records.map((parts) => wal.append(parts));
  wal.append(filler(100));
  const lineage = await LineageWriter.create(repository);
  await lineage.fragment(wal, START, wal.lsn);
  const locate = async (text: string, exclusive = false) => {
    const inventory = await readWalInventory(repository);
    const otherRoutes = listRoutes(inventory, testSystem, 'main');
    const route = routeTo(inventory, inventory.lineages.find((found) => found.lineage === lineage.place.lineage)!);
    return locateTarget({ repository, route, otherRoutes, target: parseRecoveryTarget(text), exclusive });
  };
  return { repository, lineage, wal, made, locate };
}

async function refusal(promise: Promise<unknown>): Promise<HoldfastError> {
  const outcome = await promise.then(
    () => null,
    (error: HoldfastError) => error,
  );
  assert.ok(outcome !== null, 'it was refused');
  return outcome;
}

describe('a position to restore before', () => {
  it('is that position, left out', async (test) => {
    const { locate } = await history(test, []);
    const located = await locate('before:1/28');
    assert.deepEqual(located, { target: { kind: 'lsn', lsn: 0x1_0000_0028n }, exclusive: true, notes: [] });
  });
});

describe('a transaction to restore to', () => {
  it('is the position of its commit, and says who comes with it and who does not', async (test) => {
    const { locate, made } = await history(test, [
      transactionEnd('commit', 12, second(1)),
      transactionEnd('abort', 14, second(1)),
      transactionEnd('commit', 11, second(2)),
      transactionEnd('commit', 13, second(3)),
      transactionEnd('commit', 10, second(4)),
    ]);
    const { target, exclusive, notes } = await locate('xid:11');
    assert.deepEqual([target, exclusive], [{ kind: 'lsn', lsn: made[2]!.lsn }, false]);
    assert.match(notes[0]!, /comes with it, also with later numbers: 12\.$/);
    assert.match(notes[1]!, /earlier numbers committed later and will not be there: 10\.$/);
    assert.equal((await locate('xid:11', true)).exclusive, true);
  });

  it('that was prepared is the position of its second phase', async (test) => {
    const second2 = Buffer.concat([serverTime(2), uint32(0x10, 815)]);
    const { locate, made } = await history(test, [
      prepare(815, 1, 'transfer'),
      { resourceManager: 1, info: 0xb0, mainData: second2 },
    ]);
    assert.deepEqual((await locate('xid:815')).target, { kind: 'lsn', lsn: made[1]!.lsn });
  });

  it('is refused when it was rolled back, is only prepared, belongs to another one or is not there, each with what to write', async (test) => {
    const { locate, made } = await history(test, [
      transactionEnd('abort', 20, second(1)),
      prepare(21, 2, 'transfer'),
      withSubtransactions(22, 3, [23, 24]),
    ]);
    const aborted = await refusal(locate('xid:20'));
    assert.equal(aborted.code, 'RESTORE_TARGET_NOT_FOUND');
    assert.match(aborted.detail!, /was rolled back at .*: nothing of it is to be brought back/);
    assert.match(aborted.hints[0]!, new RegExp(`--to ${formatLsn(made[0]!.lsn)}`));
    assert.match((await refusal(locate('xid:21'))).detail!, /was prepared as "transfer" at .* neither committed nor/);
    const subtransaction = await refusal(locate('xid:24'));
    assert.match(subtransaction.detail!, /is a subtransaction of transaction 22, which committed at/);
    assert.match(subtransaction.hints[0]!, /--to xid:22/);
    const unknown = (await refusal(locate('xid:25'))).detail!;
    assert.match(unknown, /still open, wrote nothing, or ended in WAL that is not stored/);
    assert.match(unknown, /Its WAL is stored from 1\/0 to 1\/[0-9A-F]+, up to timeline 1\./);
  });

  it('of which there are several, as the numbers have come round, is named with its epoch', async (test) => {
    const { locate, made } = await history(test, [
      checkpoint(100n),
      transactionEnd('commit', 99, second(1)),
      checkpoint((3n << 32n) + 100n),
      transactionEnd('commit', 99, second(2)),
    ]);
    const ambiguous = await refusal(locate('xid:99'));
    assert.equal(ambiguous.code, 'RESTORE_TARGET_AMBIGUOUS');
    assert.deepEqual(
      ambiguous.hints,
      [1, 3].map((i) => `Write --to xid:${i === 1 ? 0 : 3}:99 or --to ${formatLsn(made[i]!.lsn)}.`),
    );
    assert.deepEqual((await locate('xid:3:99')).target, { kind: 'lsn', lsn: made[3]!.lsn });
    assert.deepEqual((await locate(`xid:${(3n << 32n) + 99n}`)).target, { kind: 'lsn', lsn: made[3]!.lsn });
    assert.deepEqual((await locate('xid:0:99')).target, { kind: 'lsn', lsn: made[1]!.lsn });
    assert.equal((await refusal(locate('xid:1:99'))).code, 'RESTORE_TARGET_NOT_FOUND');
  });

  it('on another history is told with the way there', async (test) => {
    const { repository, lineage, locate } = await history(test, [transactionEnd('commit', 30, second(1))]);
    const parent = { lineage: lineage.place.lineage, forkTimeline: 1, forkLsn: 0n, reason: 'bytes-differ' } as const;
    const child = await LineageWriter.create(repository, { id: 'b', parent });
    const other = new WalBuilder({ startLsn: START });
    other.append(filler(50));
    const { lsn } = other.append(transactionEnd('commit', 31, second(5)));
    other.append(filler(50));
    await child.fragment(other, START, other.lsn);
    const error = await refusal(locate('xid:31'));
    assert.match(error.detail!, /On timeline 1 of lineage bbbbbbbbbbbb: It committed at/);
    assert.match(error.hints[0]!, new RegExp(`--lineage bbbbbbbbbbbb --timeline 1, and write --to ${formatLsn(lsn)}`));
  });
});

describe('a restore point to restore to', () => {
  it('is found by its name', async (test) => {
    const { locate, made } = await history(test, [restorePoint('one', 1), restorePoint('two', 2)]);
    assert.deepEqual((await locate('name:two')).target, { kind: 'lsn', lsn: made[1]!.lsn });
  });

  it('of which there are several is refused with all of them, and an absent one with where to look', async (test) => {
    const { locate, made } = await history(test, [restorePoint('one', 1), restorePoint('one', 2)]);
    const error = await refusal(locate('name:one'));
    assert.equal(error.code, 'RESTORE_TARGET_AMBIGUOUS');
    assert.deepEqual(
      error.hints,
      made.map(({ lsn }) => `Write --to ${formatLsn(lsn)}.`),
    );
    const absent = await refusal(locate('name:three'));
    assert.equal(absent.code, 'RESTORE_TARGET_NOT_FOUND');
    assert.match(absent.hints[0]!, /wal commits --restore-points/);
  });
});
