import { formatDuration, formatMoment } from '../../lib/index.ts';
import type { LineageInventory, StoredReceiverStatus, WalInventory } from '../../protect/wal/index.ts';
import type { Command } from '../command.ts';
import { formatFacts, formatTable, isoTime, type Json, type Paint } from '../output/index.ts';

/** `holdfast wal status`. */
export const walStatus: Command = {
  path: ['wal', 'status'],
  summary: 'Show which WAL is kept: lineages, timelines, unbroken runs, gaps, and who is receiving.',
  access: 'read',
  database: 'none',
  run: async ({ repository }) => {
    const { formatLsn, timestampToMilliseconds } = await import('../../postgres/index.ts');
    const wal = await import('../../protect/wal/index.ts');
    const inventory = await wal.readWalInventory(repository);
    const receivers = newestOfEach(await wal.readReceiverStatuses(repository));
    const words: Words = { formatLsn, toMilliseconds: timestampToMilliseconds, describe: wal.describeContinuity };
    return {
      reason: inventory.damaged.length === 0 ? 'done' : 'problemFound',
      json: walDocument(inventory, receivers, wal.STATUS_FRESH_MS, words),
      text: (paint) => walText(inventory, receivers, wal.STATUS_FRESH_MS, words, paint),
    };
  },
};

/** A backup that brought its own WAL was a receiver too: of each cluster only the last one counts. They come newest first. */
function newestOfEach(receivers: readonly StoredReceiverStatus[]): StoredReceiverStatus[] {
  const groups = Map.groupBy(receivers, ({ system, cluster }) => `${system} ${cluster}`);
  return [...groups.values()].map((group) => group.find(({ running }) => running) ?? group[0]!);
}

/** What the layers below are asked, once they are loaded. */
interface Words {
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
  receivers: readonly StoredReceiverStatus[],
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
        gaps: gaps.map(range),
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
    })),
    damaged: inventory.damaged.map(({ objectName, error }) => ({ object: objectName, message: error.message })),
  };
}

function walText(
  inventory: WalInventory,
  receivers: readonly StoredReceiverStatus[],
  freshMs: number,
  words: Words,
  paint: Paint,
): string[] {
  if (inventory.lineages.length === 0 && inventory.damaged.length === 0) return ['No WAL is kept.'];
  return [
    ...inventory.lineages.flatMap((lineage) => [...lineageText(lineage, words, paint), '']),
    ...receivers.map((receiver) => receiverText(receiver, freshMs, words, paint)),
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
        ...gaps.map(({ start, end }) => ['gap', paint.bad(`${formatLsn(start)} to ${formatLsn(end)}`)] as const),
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

function receiverText(receiver: StoredReceiverStatus, freshMs: number, words: Words, paint: Paint): string {
  const { cluster, running, ageMs, durableLsn, synchronous } = receiver;
  const isRunning = running && ageMs < freshMs;
  const mark = isRunning ? paint.good('● receiving') : paint.faint('○ not receiving');
  const waits = synchronous === true ? ', commits wait for it' : '';
  return `${mark}  ${cluster}: durable to ${words.formatLsn(durableLsn)}, heard of ${formatDuration(ageMs)} ago${isRunning ? waits : ''}`;
}
