import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { hurriedClock } from '../../../../test/support/odd-clocks.ts';
import { cuttablePlace, namesIn } from '../../../../test/support/several-places.ts';
import { until } from '../../../../test/support/until.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler } from '../../../../test/support/wal-lineage.ts';
import { HoldfastError } from '../../../lib/index.ts';
import { formatSegmentName } from '../../../postgres/index.ts';
import { listSpooled, openCopiedStore, openRepository, SpooledStore } from '../../../repository/index.ts';
import { pushWalFile } from './index.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

/** Records of the same lengths, with other content from `twistAt` on. */
function makeWal(twistAt: bigint): WalBuilder {
  const wal = new WalBuilder({ startLsn: START, systemId: 7n, timeline: 1 });
  while (wal.lsn < START + 6n * MIB + 8192n) {
    const parts = filler(6000);
    wal.append(wal.lsn < twistAt ? parts : { ...parts, mainData: Buffer.alloc(6000, 0xcd) });
  }
  return wal;
}

it('a file goes into spool and copies while the primary is away, as the plan has it, and all of it into the primary with the next one', async (test) => {
  const [primary, copy] = [cuttablePlace('primary'), cuttablePlace('copy', { required: true })];
  const { repository, credential, scratch } = await createRepository(test, { store: primary.inner });
  const ours = makeWal(START + 100n * MIB);
  const segmentOf = (wal: WalBuilder, n: bigint) => wal.bytes().subarray(Number(n * MIB), Number((n + 1n) * MIB));
  const nameOf = (n: bigint) => formatSegmentName(1, FIRST + n, Number(MIB));
  const segmentsAmong = (names: readonly string[]) => names.filter((name) => name.includes('/segments/'));
  const onThisMachine = () => listSpooled(join(scratch, 'state', 'outage'), repository.id);

  let opened: SpooledStore | null = null;
  /** One call of the command, from opening to closing. */
  const push = async (n: bigint, how: { protect?: 'writes' | 'wal'; wal?: WalBuilder; state?: string } = {}) => {
    const { protect = 'wal', wal = ours, state = 'state' } = how;
    const path = join(await mkdtemp(join(scratch, 'server-')), nameOf(n));
    await writeFile(path, segmentOf(wal, n));
    const stateDirectory = join(scratch, state);
    const clock = hurriedClock;
    await using stack = new AsyncDisposableStack();
    const directory = join(stateDirectory, 'outage');
    const spool = new SpooledStore({ primary: primary.store, directory, clock, budgetBytes: 1 << 30 });
    stack.defer(() => spool.close());
    opened = spool;
    const store = openCopiedStore({ primary: spool, copies: [copy], clock, access: 'write', catchUp: false });
    stack.defer(() => store.close());
    const open = async () => {
      const standIn = store.standIn!;
      if (primary.isCut) {
        const away = new HoldfastError('STORE_UNAVAILABLE', 'the line is cut', { retryable: true });
        await spool.beginAway(await standIn.formatOfCopies(), away);
      }
      const roots = primary.isCut ? { roots: standIn } : {};
      const repository = await openRepository({ store, credential, access: 'write', clock, ...roots });
      stack.defer(() => repository.close());
      return repository;
    };
    const { road, isNew } = await pushWalFile({
      ...{ path, store: primary.store, copies: [copy.store], openRepository: open, stateDirectory, clock },
      ...{ cluster: 'main', clusterDefault: 'main', signal: new AbortController().signal, onAlarm: () => {} },
      outage: () => ({ spool, protect, standIn: store.standIn }),
    });
    return { road, isNew };
  };

  const stored = { road: 'repository', isNew: true };
  assert.deepEqual(await push(0n), stored);
  primary.isCut = true;
  assert.deepEqual(await push(1n), stored);
  assert.equal(segmentsAmong(await onThisMachine()).length, 1);
  // Without a word of what was followed from here, behind a hole, and for another history: that waits for the primary.
  await assert.rejects(push(2n, { state: 'elsewhere' }), { code: 'WAL_OUTAGE_UNSAFE', detail: /note of the lineage/ });
  await assert.rejects(push(3n), { code: 'WAL_OUTAGE_UNSAFE', detail: /ends where the file begins/ });
  await assert.rejects(push(1n, { wal: makeWal(START + MIB + 10_000n) }), { code: 'WAL_OUTAGE_UNSAFE' });
  // What is on this machine alone is kept with `writes`, and with `wal` it is not.
  const { putIfAbsent, putFileIfAbsent } = copy.inner;
  const refuse = async () => {
    throw new HoldfastError('STORE_FULL', 'no room in the copy');
  };
  Object.assign(copy.inner, { putIfAbsent: refuse, putFileIfAbsent: refuse });
  await assert.rejects(push(2n), { code: 'WAL_PRIMARY_AWAY' });
  assert.deepEqual(await push(2n, { protect: 'writes' }), { road: 'repository', isNew: false });
  assert.deepEqual(await push(3n, { protect: 'writes' }), stored);
  Object.assign(copy.inner, { putIfAbsent, putFileIfAbsent });
  // What an earlier call left here is brought to the copy by the next one.
  assert.deepEqual(await push(3n), { road: 'repository', isNew: false });
  assert.equal(segmentsAmong(await onThisMachine()).length, 3);
  assert.equal(segmentsAmong(await namesIn(copy.inner, 'wal/')).length, 4);
  // The primary comes back while the copy takes the file, and may say otherwise than copies and spool, by which that was judged.
  const comeBack = async () => {
    primary.isCut = false;
    await until('the primary to be back', () => opened?.isAway === false);
  };
  Object.assign(copy.inner, {
    putIfAbsent: async (name: string, parts: Uint8Array) => {
      if (name.endsWith(nameOf(4n))) await comeBack();
      return putIfAbsent.call(copy.inner, name, parts);
    },
    putFileIfAbsent: async (name: string, path: string) => {
      if (name.endsWith(nameOf(4n))) await comeBack();
      return putFileIfAbsent.call(copy.inner, name, path);
    },
  });
  await assert.rejects(push(4n), { code: 'WAL_PRIMARY_BACK' });
  assert.deepEqual(await push(4n), { road: 'repository', isNew: false });
  assert.deepEqual(await onThisMachine(), []);
  const segments = segmentsAmong(await namesIn(primary.inner, 'wal/'));
  for (const n of [0n, 1n, 2n, 3n, 4n]) {
    const name = segments.find((each) => each.endsWith(nameOf(n)));
    assert.ok((await repository.getBody('wal-segment', name!)).equals(segmentOf(ours, n)));
  }
});
