import { formatBytes, formatDuration, formatMoment } from '../../lib/index.ts';
import type {
  JudgedSpace,
  LineageInventory,
  StoredPushStatus,
  StoredReceiverStatus,
  WalInventory,
} from '../../protect/wal/index.ts';
import type { Command } from '../command.ts';
import { describeState, lagDocument } from '../copies-text.ts';
import { formatFacts, formatTable, isoTime, type Json, type Paint } from '../output/index.ts';
import { spaceDocument } from '../wal-space.ts';

/** `holdfast wal status`. */
export const walStatus: Command = {
  path: ['wal', 'status'],
  summary: 'Show which WAL is kept: lineages, timelines, unbroken runs, gaps, and who is receiving.',
  examples: [{ line: 'holdfast wal status', does: 'Which WAL is kept, and who brings it.' }],
  access: 'read',
  database: 'none',
  run: async ({ repository, signal }) => {
    const { formatLsn, timestampToMilliseconds } = await import('../../postgres/index.ts');
    const wal = await import('../../protect/wal/index.ts');
    const inventory = await wal.readWalInventory(repository);
    const receivers = newestOfEach(await wal.readReceiverStatuses(repository));
    const pushes = await wal.readPushStatuses(repository);
    const now = await repository.store.now();
    const { snapshots } = await repository.listSnapshots();
    const costs = new Map<LineageInventory, string[]>();
    for (const lineage of inventory.lineages) {
      const found = wal
        .describeContinuity(lineage)
        .gaps.map((gap) => wal.costOfGap(repository, inventory, lineage, gap, snapshots));
      costs.set(
        lineage,
        (await Promise.all(found)).map((cost) => wal.describeGapCost(cost, now)),
      );
    }
    const words: Words = {
      ...{ formatLsn, toMilliseconds: timestampToMilliseconds, describe: wal.describeContinuity },
      ...{ describeGrowth: wal.describeGrowth, costs: (lineage) => costs.get(lineage) ?? [] },
    };
    const { places } = repository.store;
    const { readPlaces } = await import('../../watch/index.ts');
    const copies = places === undefined ? [] : (await readPlaces(places, { signal })).copies;
    return {
      reason: inventory.damaged.length === 0 ? 'done' : 'problemFound',
      json: {
        ...walDocument(inventory, { receivers, pushes }, wal.STATUS_FRESH_MS, words),
        copies: copies.map(lagDocument),
      },
      text: (paint) => [
        ...walText(inventory, { receivers, pushes }, wal.STATUS_FRESH_MS, words, paint),
        ...(copies.length === 0 ? [] : ['']),
        ...formatFacts(
          copies.map((copy) => [`copy ${copy.name}`, describeState(copy, paint)] as const),
          paint,
        ),
      ],
    };
  },
};

/** A backup that brought its own WAL was a receiver too: of each cluster only the last one counts. They come newest first. */
function newestOfEach(receivers: readonly StoredReceiverStatus[]): StoredReceiverStatus[] {
  const groups = Map.groupBy(receivers, ({ system, cluster }) => `${system} ${cluster}`);
  return [...groups.values()].map((group) => group.find(({ running }) => running) ?? group[0]!);
}

/** Who brings WAL. */
interface Bringers {
  readonly receivers: readonly StoredReceiverStatus[];
  readonly pushes: readonly StoredPushStatus[];
}

/** What the layers below are asked, once they are loaded. */
interface Words {
  describeGrowth(space: JudgedSpace): string;
  /** What each gap costs, in the order of the gaps. */
  costs(lineage: LineageInventory): readonly string[];
  formatLsn(lsn: bigint): string;
  toMilliseconds(at: bigint): number;
  describe(lineage: LineageInventory): {
    timeline: number;
    runs: readonly { start: bigint; end: bigint }[];
    gaps: readonly { start: bigint; end: bigint }[];
  };
}

function walDocument(
  inventory: WalInventory,
  { receivers, pushes }: Bringers,
  freshMs: number,
  words: Words,
): { readonly [key: string]: Json } {
  const { formatLsn } = words;
  const range = ({ start, end }: { start: bigint; end: bigint }) => ({ start: formatLsn(start), end: formatLsn(end) });
  return {
    lineages: inventory.lineages.map((lineage): Json => {
      const { timeline, runs, gaps } = words.describe(lineage);
      const { header } = lineage;
      return {
        lineage: lineage.lineage,
        system: lineage.system,
        cluster: header.cluster,
        createdAt: header.createdAt,
        segmentBytes: header.segmentBytes,
        timeline,
        timelines: [...lineage.timelines.values()].map((each) => ({
          timeline: each.timeline,
          segments: each.segments.size,
          fragments: each.fragments.length,
          ranges: each.ranges.map(range),
        })),
        runs: runs.map(range),
        gaps: gaps.map((gap, index) => ({ ...range(gap), cost: words.costs(lineage)[index] ?? '' })),
        parent: header.parent === null ? null : { ...header.parent, forkLsn: formatLsn(header.parent.forkLsn) },
      };
    }),
    receivers: receivers.map((each) => ({
      system: each.system,
      cluster: each.cluster,
      lineage: each.lineage,
      timeline: each.timeline,
      running: each.running && each.ageMs < freshMs,
      saidAt: isoTime(each.writtenAt),
      durableLsn: formatLsn(each.durableLsn),
      serverFlushLsn: formatLsn(each.serverFlushLsn),
      knownUntil: each.known === null ? null : isoTime(words.toMilliseconds(each.known.until)),
      synchronous: each.synchronous,
      space: each.space == null ? null : spaceDocument(each.space),
    })),
    pushes: pushes.map((each) => ({
      ...{
        system: each.system,
        cluster: each.cluster,
        lineage: each.lineage,
        timeline: each.timeline,
        file: each.file,
      },
      saidAt: isoTime(each.writtenAt),
      endLsn: each.endLsn === null ? null : formatLsn(each.endLsn),
    })),
    damaged: inventory.damaged.map(({ objectName, error }) => ({ object: objectName, message: error.message })),
  };
}

function walText(
  inventory: WalInventory,
  { receivers, pushes }: Bringers,
  freshMs: number,
  words: Words,
  paint: Paint,
): string[] {
  if (inventory.lineages.length === 0 && inventory.damaged.length === 0) return ['No WAL is kept.'];
  return [
    ...inventory.lineages.flatMap((lineage) => [...lineageText(lineage, words, paint), '']),
    ...receivers.flatMap((receiver) => receiverText(receiver, freshMs, words, paint)),
    ...pushes.map((push) => pushText(push, words)),
    ...inventory.damaged.map(({ objectName, error }) => paint.bad(`damaged: "${objectName}": ${error.message}`)),
  ];
}

function lineageText(lineage: LineageInventory, words: Words, paint: Paint): string[] {
  const { formatLsn } = words;
  const { timeline, gaps } = words.describe(lineage);
  const { parent } = lineage.header;
  return [
    paint.title(`Lineage ${lineage.lineage}`),
    ...formatFacts(
      [
        ['cluster', `${lineage.header.cluster} (system ${lineage.system})`],
        ['since', formatMoment(Date.parse(lineage.header.createdAt))],
        ['newest timeline', String(timeline)],
        ...(parent === null
          ? []
          : [['forked from', `${parent.lineage} at ${formatLsn(parent.forkLsn)}: ${parent.reason}`] as const]),
        ...gaps.map(({ start, end }, index) => {
          const range = paint.bad(`${formatLsn(start)} to ${formatLsn(end)}`);
          return ['gap', `${range}: ${words.costs(lineage)[index] ?? ''}`] as const;
        }),
      ],
      paint,
    ),
    ...formatTable(
      [
        { head: 'TIMELINE', align: 'right' },
        ...[{ head: 'FROM' }, { head: 'TO' }],
        { head: 'SEGMENTS', align: 'right' },
        { head: 'FRAGMENTS', align: 'right' },
      ],
      [...lineage.timelines.values()].map(({ timeline: number, ranges, segments, fragments }) => [
        String(number),
        formatLsn(ranges[0]?.start ?? 0n),
        formatLsn(ranges.at(-1)?.end ?? 0n),
        String(segments.size),
        String(fragments.length),
      ]),
      paint,
    ),
  ];
}

function receiverText(receiver: StoredReceiverStatus, freshMs: number, words: Words, paint: Paint): string[] {
  const { cluster, running, ageMs, durableLsn, synchronous, space } = receiver;
  const isRunning = running && ageMs < freshMs;
  const mark = isRunning ? paint.good('● receiving') : paint.faint('○ not receiving');
  const waits = synchronous === true ? ', commits wait for it' : '';
  const head = `${mark}  ${cluster}: durable to ${words.formatLsn(durableLsn)}, heard of ${formatDuration(ageMs)} ago${isRunning ? waits : ''}`;
  if (!isRunning || space == null) return [head];
  const kept = [
    ...(space.slotBytes === null ? [] : [`the slot holds back ${formatBytes(space.slotBytes)}`]),
    ...(space.walBytes === null ? [] : [`pg_wal has ${formatBytes(space.walBytes)}`]),
  ];
  const isTight = space.isOverBudget || space.slotStatus === 'unreserved' || space.slotStatus === 'lost';
  if (kept.length === 0) return [head];
  const budget = `of a budget of ${formatBytes(space.budgetBytes)}`;
  const line = `   on the server ${kept.join(', ')}, ${budget}${isTight ? `. ${words.describeGrowth(space)}` : ''}`;
  return [head, isTight ? paint.bad(line) : paint.faint(line)];
}

function pushText({ cluster, file, ageMs, endLsn }: StoredPushStatus, { formatLsn }: Words): string {
  return `→ pushed  ${cluster}: ${file}${endLsn === null ? '' : `, up to ${formatLsn(endLsn)}`}, ${formatDuration(ageMs)} ago`;
}
