import { formatBytes, formatMoment, formatQuantity, HoldfastError } from '../../lib/index.ts';
import type { WalRescueReport } from '../../protect/wal/rescue/index.ts';
import type { Command } from '../command.ts';
import { formatFacts, isoTime, type Json, type Paint, shortId } from '../output/index.ts';
import { tellAlarm } from '../wal-alarm.ts';

/** `holdfast wal rescue`. */
export const walRescue: Command = {
  path: ['wal', 'rescue'],
  summary: 'Bring in the WAL that survives on the disk of a server that is dead, up to its last whole record.',
  details: [
    'The server must not run. Its data directory is only read, so that a read-only mount will do.',
    'What is there already is compared byte by byte; WAL of another history goes into a lineage of its own.',
  ],
  examples: [
    { line: 'holdfast wal rescue /mnt/dead/data', does: 'From the disk of a server that is gone.' },
    { line: 'holdfast wal rescue --wal-directory /mnt/dead/pg_wal', does: 'From its WAL alone.' },
  ],
  access: 'write',
  database: 'none',
  planOptions: ['cluster.name'],
  arguments: [{ name: '[directory]', help: 'The data directory of the dead server.' }],
  flags: [{ flag: '--wal-directory <directory>', help: 'Where its WAL lies. (default: pg_wal in the data directory)' }],
  run: async (context, input) => {
    const { resolve } = await import('node:path');
    const { rescueWal } = await import('../../protect/wal/rescue/index.ts');
    const { formatLsn, timestampToMilliseconds } = await import('../../postgres/index.ts');
    const [dataDirectory, walDirectory] = [input.optional('directory'), input.optional('wal-directory')];
    if (dataDirectory === undefined && walDirectory === undefined) {
      throw new HoldfastError('USAGE_INVALID', 'no directory was given', {
        hints: ['Name the data directory of the dead server, or its WAL alone with --wal-directory.'],
      });
    }
    const { cluster, stateDirectory } = context.plan;
    let alarms = 0;
    const report = await rescueWal({
      repository: context.repository,
      dataDirectory: dataDirectory === undefined ? null : resolve(dataDirectory),
      walDirectory: walDirectory === undefined ? null : resolve(walDirectory),
      cluster: cluster.nameOrigin === null ? null : cluster.name,
      clusterDefault: cluster.name,
      stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
      onAlarm: (alarm) => {
        alarms += 1;
        tellAlarm(context, alarm);
      },
    });
    const words: Words = { formatLsn, moment: timestampToMilliseconds };
    return {
      reason: alarms === 0 && report.gaps.length + report.unconnected.length === 0 ? 'done' : 'problemFound',
      json: rescueDocument(report, words),
      text: (paint) => rescueText(report, words, paint),
    };
  },
};

/** Texts that need the PostgreSQL layer, which is loaded when the command runs. */
interface Words {
  formatLsn(lsn: bigint): string;
  moment(at: bigint): number;
}

function rescueDocument(report: WalRescueReport, { formatLsn, moment }: Words): { readonly [key: string]: Json } {
  const range = ({ start, end }: { start: bigint; end: bigint }) => ({ start: formatLsn(start), end: formatLsn(end) });
  const { cluster, place, timeline, endBefore, end, gained, commits, lastCommit, segments, histories } = report;
  return {
    ...{ cluster, ...place, timeline },
    endBefore: endBefore === null ? null : formatLsn(endBefore),
    end: formatLsn(end),
    gained: gained.map(range),
    commits,
    lastCommit:
      lastCommit === null
        ? null
        : { xid: lastCommit.xid, at: isoTime(moment(lastCommit.at)), lsn: formatLsn(lastCommit.lsn) },
    segments: { new: segments.kept, known: segments.known },
    histories: [...histories],
    passedOver: report.passedOver.map(({ file, reason }) => ({ file, reason })),
    unconnected: [...report.unconnected],
    gaps: report.gaps.map(range),
  };
}

function rescueText(report: WalRescueReport, { formatLsn, moment }: Words, paint: Paint): string[] {
  const { cluster, place, timeline, endBefore, end, gained, commits, lastCommit, gaps, passedOver, unconnected } =
    report;
  const bytes = gained.reduce((sum, range) => sum + (range.end - range.start), 0n);
  const found = formatQuantity(commits, 'commit');
  const head =
    gained.length === 0
      ? `${paint.good('nothing to gain')}: all that survives of ${cluster} was kept already`
      : `${paint.good('rescued')} ${formatBytes(bytes)} of WAL of ${cluster} with ${found}`;
  return [
    head,
    ...formatFacts(
      [
        ...gained.map((each) => ['gained', `${formatLsn(each.start)} to ${formatLsn(each.end)}`] as [string, string]),
        ...(lastCommit === null
          ? []
          : [
              ['last commit', `${formatMoment(moment(lastCommit.at))} (transaction ${lastCommit.xid})`] as [
                string,
                string,
              ],
            ]),
        [
          'ends at',
          `${formatLsn(end)} on timeline ${timeline}${endBefore === null ? '' : `, before at ${formatLsn(endBefore)}`}`,
        ],
        ['lineage', shortId(place.lineage)],
        ...(passedOver.length === 0
          ? []
          : [
              [
                'passed over',
                `${formatQuantity(passedOver.length, 'file')}, renamed for later use or not readable`,
              ] as [string, string],
            ]),
        ...(unconnected.length === 0
          ? []
          : [
              [
                'not connected',
                paint.bad(
                  `${formatQuantity(unconnected.length, 'file')} from ${unconnected[0]} on, behind a place that cannot be read: WAL may be lost`,
                ),
              ] as [string, string],
            ]),
        ...gaps.map(
          (gap) => ['missing', paint.bad(`${formatLsn(gap.start)} to ${formatLsn(gap.end)}`)] as [string, string],
        ),
      ],
      paint,
    ),
  ];
}
