import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler, fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { codeOf, systemClock } from '../../../lib/index.ts';
import { formatSegmentName, formatTimelineHistory } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalAlarm } from '../events.ts';
import { readWalInventory } from '../inventory.ts';
import { historyObjectName } from '../object-names.ts';
import { readSegment } from '../read-segment.ts';
import { secondCopyName } from '../second-copy.ts';
import { describeHistory, describeSegmentBytes, type SegmentFile, WalIngest } from './index.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

/** WAL of one server; `twist` makes records of other content from the given position on, as another copy of it would write. */
function makeWal(
  options: { segments?: bigint; twistAt?: bigint; timeline?: number; promotedAt?: bigint } = {},
): WalBuilder {
  const { segments = 4n, twistAt = START + 100n * MIB, timeline = 1, promotedAt } = options;
  const wal = new WalBuilder({ startLsn: START, systemId: 7n, timeline });
  while (wal.lsn < START + segments * MIB + 8192n) {
    if (promotedAt !== undefined && wal.lsn >= promotedAt) wal.timeline = 2;
    const parts = filler(6000);
    wal.append(wal.lsn < twistAt ? parts : { ...parts, mainData: Buffer.alloc(6000, 0xcd) });
  }
  return wal;
}

function fileOf(wal: WalBuilder, index: bigint, timeline = wal.timeline): SegmentFile {
  const from = Number(index * MIB);
  const name = formatSegmentName(timeline, FIRST + index, Number(MIB));
  return describeSegmentBytes(name, wal.bytes().subarray(from, from + Number(MIB)));
}

/** An ingest as one host has it: with the files of one server at hand. */
function ingestOf(
  repository: Repository,
  stateDirectory: string,
  wal: WalBuilder | null,
  preferred: string | null = null,
  history: string | null = null,
) {
  const alarms: WalAlarm[] = [];
  const ingest = new WalIngest({
    ...{ repository, stateDirectory, cluster: 'main', system: '7', clock: systemClock, preferred },
    findHistory: async () => history,
    findPrevious: async (file) =>
      wal === null || file.number === FIRST ? null : fileOf(wal, file.number - FIRST - 1n),
    onAlarm: (alarm) => void alarms.push(alarm),
  });
  return { ingest, alarms };
}

async function make(test: TestContext) {
  const { repository, scratch, store } = await createRepository(test);
  return {
    repository,
    scratch,
    store,
    host: (wal: WalBuilder | null, preferred: string | null = null, history: string | null = null) =>
      ingestOf(repository, scratch, wal, preferred, history),
  };
}

const lineagesOf = async (repository: Repository) => (await readWalInventory(repository)).lineages;

describe('a segment that comes as a file', () => {
  it('begins a lineage, is gone on from, and is the same when it comes again', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    for (const index of [0n, 1n, 2n]) assert.equal((await ingest.keepSegment(fileOf(wal, index))).isNew, true);
    assert.equal((await host(wal).ingest.keepSegment(fileOf(wal, 1n))).isNew, false);
    const inventory = await readWalInventory(repository);
    assert.equal(inventory.lineages.length, 1);
    for (const index of [0n, 1n, 2n]) {
      const { lineage } = inventory.lineages[0]!;
      const { bytes } = await readSegment(repository, inventory, {
        lineage,
        timeline: 1,
        segmentNumber: FIRST + index,
      });
      const from = Number(index * MIB);
      assert.ok(bytes.equals(wal.bytes().subarray(from, from + Number(MIB))));
    }
    assert.deepEqual(alarms, []);
  });

  it('takes the place of the fragments that a receiver stored of it', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const lineage = await LineageWriter.create(repository);
    await lineage.segment(wal, FIRST);
    await lineage.fragment(wal, START + MIB, START + MIB + 300_000n);
    await lineage.fragment(wal, START + MIB + 300_000n, START + MIB + 500_000n);
    const { ingest, alarms } = host(wal);
    await ingest.keepSegment(fileOf(wal, 1n));
    const [{ timelines }] = (await lineagesOf(repository)) as [Awaited<ReturnType<typeof lineagesOf>>[0]];
    assert.deepEqual([...timelines.get(1)!.segments.keys()], [FIRST, FIRST + 1n]);
    assert.deepEqual([timelines.get(1)!.fragments, alarms], [[], []]);
  });

  it('is refused when a record in it is broken, and nothing is stored', async (test) => {
    const { repository, host, store } = await make(test);
    const wal = makeWal();
    const bytes = wal.bytes().subarray(0, Number(MIB));
    bytes[400_000]! ^= 1;
    const broken = describeSegmentBytes(formatSegmentName(1, FIRST, Number(MIB)), Buffer.from(bytes));
    await assert.rejects(host(wal).ingest.keepSegment(broken), { code: 'WAL_FILE_UNSOUND' });
    for await (const { name } of store.list('wal/')) assert.doesNotMatch(name, /segments|fragments/);
    assert.equal((await lineagesOf(repository)).length, 1, 'only the place for it was made');
  });

  it('is refused, and taken for no other history, when it was damaged after it was stored', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    for (const index of [0n, 1n]) await host(wal).ingest.keepSegment(fileOf(wal, index));
    const bytes = wal.bytes().subarray(Number(MIB), 2 * Number(MIB));
    bytes[400_000]! ^= 1;
    const broken = describeSegmentBytes(formatSegmentName(1, FIRST + 1n, Number(MIB)), Buffer.from(bytes));
    const { ingest, alarms } = host(wal);
    await assert.rejects(ingest.keepSegment(broken), { code: 'WAL_FILE_UNSOUND' });
    assert.deepEqual([(await lineagesOf(repository)).length, alarms], [1, []]);
  });

  it('of another history goes into a lineage of its own, and so does all that follows it', async (test) => {
    const { repository, host } = await make(test);
    const [ours, theirs] = [makeWal(), makeWal({ twistAt: START + MIB + 500_000n })];
    const first = host(ours);
    for (const index of [0n, 1n]) await first.ingest.keepSegment(fileOf(ours, index));
    const second = host(theirs);
    await second.ingest.keepSegment(fileOf(theirs, 1n));
    await first.ingest.keepSegment(fileOf(ours, 2n));
    // Without a memory of where it went before, too, each finds its own again and no other lineage begins.
    await host(theirs).ingest.keepSegment(fileOf(theirs, 2n));
    await host(ours).ingest.keepSegment(fileOf(ours, 3n));
    const lineages = await lineagesOf(repository);
    const parent = lineages.find(({ header }) => header.parent === null)!;
    const child = lineages.find(({ header }) => header.parent !== null)!;
    assert.equal(lineages.length, 2);
    const held = (lineage: typeof parent) =>
      [...lineage.timelines.get(1)!.segments.keys()].map((number) => number - FIRST);
    assert.deepEqual(
      [held(parent), held(child)],
      [
        [0n, 1n, 2n, 3n],
        [1n, 2n],
      ],
    );
    const { forkLsn, reason } = child.header.parent!;
    assert.equal(reason, 'bytes-differ');
    assert.ok(forkLsn >= START + MIB + 490_000n && forkLsn <= START + MIB + 520_000n, `${forkLsn - START}`);
    assert.deepEqual(first.alarms, []);
    assert.deepEqual(
      second.alarms.map(({ alarm }) => alarm),
      ['fork'],
    );
  });

  it('goes to the history that it goes on from, not into a hole of the one that another server followed from here', async (test) => {
    const { repository, host } = await make(test);
    const [ours, theirs] = [makeWal(), makeWal({ twistAt: START + 500_000n })];
    for (const index of [0n, 1n]) await host(ours).ingest.keepSegment(fileOf(ours, index));
    const second = host(theirs);
    await second.ingest.keepSegment(fileOf(theirs, 0n));
    // Both push through one state directory, and theirs is behind: a hole would be all that speaks against its lineage.
    const { ingest, alarms } = host(ours, second.ingest.followed);
    const kept = await ingest.keepSegment(fileOf(ours, 2n));
    const parent = (await lineagesOf(repository)).find(({ header }) => header.parent === null)!;
    assert.deepEqual([kept.place.lineage, alarms], [parent.lineage, []]);
    await host(ours, second.ingest.followed).ingest.keepPart(fileOf(ours, 3n), { untilSwitch: true });
    const ends = (await lineagesOf(repository)).map(({ timelines }) => timelines.get(1)!.ranges.at(-1)!.end - START);
    assert.deepEqual(
      ends.sort((a, b) => Number(a - b)),
      [MIB, 4n * MIB],
    );
  });

  it('that does not go on from the stored one is told by its first record, or by the file before it', async (test) => {
    const { repository, host } = await make(test);
    const ours = makeWal();
    // The same lengths from the middle of the first segment on: only the bytes tell.
    const theirs = makeWal({ twistAt: START + 500_000n });
    await host(ours).ingest.keepSegment(fileOf(ours, 0n));
    const { ingest, alarms } = host(theirs);
    await ingest.keepSegment(fileOf(theirs, 1n));
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['fork'],
    );
    const child = (await lineagesOf(repository)).find(({ header }) => header.parent !== null)!;
    assert.ok(child.header.parent!.forkLsn > START + 490_000n && child.header.parent!.forkLsn < START + 510_000n);
    assert.deepEqual(
      [...child.timelines.get(1)!.segments.keys()],
      [FIRST, FIRST + 1n],
      'the file before is kept with it',
    );
  });

  it('behind a hole is kept with an alarm, and the hole can be filled', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    await ingest.keepSegment(fileOf(wal, 0n));
    await ingest.keepSegment(fileOf(wal, 2n));
    assert.deepEqual(
      alarms.map((alarm) => alarm.alarm === 'gap' && [alarm.gap.start - START, alarm.gap.end - START]),
      [[MIB, 2n * MIB]],
    );
    await ingest.keepSegment(fileOf(wal, 1n));
    const [lineage] = await lineagesOf(repository);
    assert.equal(lineage!.timelines.get(1)!.ranges.length, 1);
    assert.equal(alarms.length, 1);
  });

  it('finds its own lineage behind a hole also beside that of another copy, and is never mixed into that', async (test) => {
    const { repository, host } = await make(test);
    const [ours, theirs] = [makeWal({ segments: 8n }), makeWal({ segments: 8n, twistAt: START + MIB + 500_000n })];
    for (const index of [0n, 1n, 2n, 3n]) await host(ours).ingest.keepSegment(fileOf(ours, index));
    for (const index of [1n, 2n]) await host(theirs).ingest.keepSegment(fileOf(theirs, index));
    // It goes on from what is stored in the one, and lies behind a hole in the other, which is the newer one.
    await host(ours).ingest.keepSegment(fileOf(ours, 4n));
    // It contradicts the one and lies behind a hole in the other: nothing says that it is that one's.
    const { ingest, alarms } = host(null);
    const rolledBack = makeWal({ segments: 8n, twistAt: START + 4n * MIB + 200_000n });
    await ingest.keepSegment(fileOf(rolledBack, 4n));
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['fork'],
    );
    const held = (await lineagesOf(repository)).map(({ timelines }) =>
      [...timelines.get(1)!.segments.keys()].map((number) => Number(number - FIRST)),
    );
    assert.deepEqual(
      held.sort((a, b) => a[0]! - b[0]!),
      [[0, 1, 2, 3, 4], [1, 2], [4]],
    );
  });

  it('of another system is kept apart, with an alarm', async (test) => {
    const { repository, host } = await make(test);
    await LineageWriter.create(repository, { id: 'b', system: '8' });
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    await ingest.keepSegment(fileOf(wal, 0n));
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['other-system'],
    );
    assert.deepEqual((await lineagesOf(repository)).map(({ system }) => system).sort(), ['7', '8']);
  });

  it('of a timeline whose history is nowhere is refused', async (test) => {
    const { host } = await make(test);
    const wal = makeWal({ timeline: 2 });
    await assert.rejects(host(wal).ingest.keepSegment(fileOf(wal, 0n)), { code: 'WAL_HISTORY_ABSENT' });
  });

  it('is kept beside a stored one that is damaged', async (test) => {
    const { repository, host, store } = await make(test);
    const wal = makeWal();
    const kept = await host(wal).ingest.keepSegment(fileOf(wal, 0n));
    const [name] = kept.objects as [string];
    const stored = await store.get(name);
    stored[stored.length >> 1]! ^= 1;
    await store.delete(name);
    await store.putIfAbsent(name, stored);
    const { ingest, alarms } = host(wal);
    const again = await ingest.keepSegment(fileOf(wal, 0n));
    assert.equal(again.isNew, true);
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['damaged'],
    );
    const inventory = await readWalInventory(repository);
    const reference = { lineage: inventory.lineages[0]!.lineage, timeline: 1, segmentNumber: FIRST };
    assert.ok((await readSegment(repository, inventory, reference)).bytes.equals(wal.bytes().subarray(0, Number(MIB))));
  });
});

describe('a segment of a timeline that two servers have', () => {
  const switchBehind = (offset: bigint) => makeWal().records.find(({ lsn }) => lsn > START + offset)!.lsn;
  const historyOf = (switchLsn: bigint) => formatTimelineHistory([{ timeline: 1, switchLsn, reason: 'test' }]);

  it('takes the history of its own server with it, when both were promoted apart', async (test) => {
    const { repository, host } = await make(test);
    const [first, second] = [switchBehind(MIB + 300_000n), switchBehind(MIB + 500_000n)];
    const ours = makeWal({ twistAt: first, promotedAt: first });
    const theirs = makeWal({ promotedAt: second });
    const kept = host(ours, null, historyOf(first));
    for (const index of [1n, 2n]) await kept.ingest.keepSegment(fileOf(ours, index, 2));
    const { ingest, alarms } = host(null, null, historyOf(second));
    // Its history went elsewhere before its archiver was told of us: nobody pushes it.
    for (const index of [1n, 2n]) await ingest.keepSegment(fileOf(theirs, index, 2));
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['fork'],
    );
    const child = (await lineagesOf(repository)).find(({ header }) => header.parent !== null)!;
    assert.equal(child.histories.get(2)!.at(-1)!.switchLsn, second);
    assert.equal(child.timelines.get(2)!.segments.size, 2);
    const place = { system: child.system, lineage: child.lineage };
    const copy = secondCopyName(historyObjectName(place, 2));
    assert.equal((await repository.getBody('timeline-history', copy)).toString(), historyOf(second));
  });

  it('has the history that both share, when a volume was rolled back behind the promotion', async (test) => {
    const { repository, host } = await make(test);
    const promotedAt = switchBehind(300_000n);
    const ours = makeWal({ promotedAt });
    const rolledBack = makeWal({ promotedAt, twistAt: START + MIB + 500_000n });
    const kept = host(ours, null, historyOf(promotedAt));
    for (const index of [0n, 1n, 2n]) await kept.ingest.keepSegment(fileOf(ours, index, 2));
    await host(null).ingest.keepSegment(fileOf(rolledBack, 1n, 2));
    const child = (await lineagesOf(repository)).find(({ header }) => header.parent !== null)!;
    assert.equal(child.histories.get(2)!.at(-1)!.switchLsn, promotedAt);
    assert.equal(child.timelines.get(2)!.segments.size, 1);
  });
});

describe('a part of a segment', () => {
  it('is kept up to its last whole record, in fragments, and never as a segment', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal({ segments: 1n });
    const end = wal.records.find(({ lsn }) => lsn > START + 600_000n)!.endLsn;
    const bytes = Buffer.alloc(Number(MIB), 0xee);
    wal.bytes().copy(bytes, 0, 0, Number(end - START) + 2000);
    const file = describeSegmentBytes(formatSegmentName(1, FIRST, Number(MIB)), bytes);
    const { ingest } = host(wal);
    assert.equal((await ingest.keepPart(file, { untilSwitch: true })).isNew, true);
    assert.equal((await ingest.keepPart(file, { untilSwitch: true })).isNew, false);
    const [lineage] = await lineagesOf(repository);
    assert.deepEqual(lineage!.timelines.get(1)!.ranges, [{ start: START, end }]);
    assert.equal(lineage!.timelines.get(1)!.segments.size, 0);
  });

  it('ends where the lineage left its timeline', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const lineage = await LineageWriter.create(repository);
    await lineage.segment(wal, FIRST);
    const switchLsn = wal.records.find(({ lsn }) => lsn > START + MIB + 300_000n)!.lsn;
    await lineage.history(2, [{ timeline: 1, switchLsn, reason: 'test' }]);
    await host(wal).ingest.keepPart(fileOf(wal, 1n), { untilSwitch: true });
    const [after] = await lineagesOf(repository);
    assert.deepEqual(after!.timelines.get(1)!.ranges, [{ start: START, end: switchLsn }]);
  });
});

describe('a history file', () => {
  const switchAt = (wal: WalBuilder, offset: bigint) => wal.records.find(({ lsn }) => lsn > START + offset)!.lsn;
  const history = (timeline: number, ...switches: [number, bigint][]) =>
    describeHistory(
      timeline,
      formatTimelineHistory(switches.map(([of, switchLsn]) => ({ timeline: of, switchLsn, reason: 'test' }))),
    );

  it('that leads on from what is stored stays in the lineage, and is the same when it comes again', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    await ingest.keepSegment(fileOf(wal, 0n));
    const file = history(2, [1, switchAt(wal, MIB + 100n)]);
    assert.equal((await ingest.keepHistory(file, Number(MIB))).isNew, true);
    assert.equal((await ingest.keepHistory(file, Number(MIB))).isNew, false);
    assert.deepEqual([(await lineagesOf(repository)).length, alarms], [1, []]);
  });

  it('that leaves out stored records begins a lineage, as does another one for the same timeline', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    for (const index of [0n, 1n]) await ingest.keepSegment(fileOf(wal, index));
    await host(wal).ingest.keepHistory(history(2, [1, switchAt(wal, 2n * MIB)]), Number(MIB));
    const other = host(wal);
    await other.ingest.keepHistory(history(2, [1, switchAt(wal, 500_000n)]), Number(MIB));
    const third = host(wal);
    await third.ingest.keepHistory(history(3, [1, switchAt(wal, 200_000n)]), Number(MIB));
    const lineages = await lineagesOf(repository);
    assert.equal(lineages.length, 3);
    assert.deepEqual([alarms.length, other.alarms.length, third.alarms.length], [0, 1, 1]);
    for (const { header } of lineages)
      if (header.parent !== null) assert.equal(header.parent.reason, 'timeline-forked-earlier');
  });

  it('lets WAL of the older timeline in up to where it was left, and nothing beyond', async (test) => {
    const { repository, host } = await make(test);
    const wal = makeWal();
    const { ingest, alarms } = host(wal);
    await ingest.keepSegment(fileOf(wal, 0n));
    await ingest.keepHistory(history(2, [1, switchAt(wal, MIB + 300_000n)]), Number(MIB));
    // The demoted primary goes on archiving.
    await ingest.keepSegment(fileOf(wal, 1n));
    assert.deepEqual(
      alarms.map(({ alarm }) => alarm),
      ['fork'],
    );
    const child = (await lineagesOf(repository)).find(({ header }) => header.parent !== null)!;
    assert.deepEqual([child.header.parent!.reason, child.header.parent!.forkTimeline], ['older-timeline', 1]);
  });
});

it('a file that is not what its name says is refused', () => {
  const wal = makeWal();
  const bytes = wal.bytes().subarray(0, Number(MIB));
  const name = (number: bigint) => formatSegmentName(1, number, Number(MIB));
  const refused = (what: string, act: () => unknown) =>
    assert.throws(act, (error) => codeOf(error) === 'WAL_FILE_FOREIGN', what);
  refused('renamed ahead', () => describeSegmentBytes(name(FIRST + 1n), bytes));
  refused('zeros', () => describeSegmentBytes(name(FIRST), Buffer.alloc(Number(MIB))));
  refused('short', () => describeSegmentBytes(name(FIRST), bytes.subarray(0, 8192)));
  refused('another size', () =>
    describeSegmentBytes(formatSegmentName(1, FIRST / 2n, 2 * Number(MIB)), Buffer.concat([bytes, bytes])),
  );
  const later = new WalBuilder({ startLsn: START, systemId: 7n, timeline: 3 });
  fillTo(later, START + MIB);
  refused('a later timeline', () => describeSegmentBytes(name(FIRST), later.bytes().subarray(0, Number(MIB))));
});
