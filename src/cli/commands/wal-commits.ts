import { HoldfastError } from '../../lib/index.ts';
import type { ListedMoments, Moment, RecoveryTarget } from '../../restore/index.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command, CommandInput } from '../command.ts';
import { formatTable, type Json, type Paint, quoteForShell, shortId } from '../output/index.ts';

/** So many lines on either side unless said otherwise: they fit on a screen. */
const COUNT_DEFAULT = 10;
const COUNT_MAX = 100_000;
/** So many files of a commit are shown. */
const FILES_SHOWN_MAX = 3;

/** `holdfast wal commits`. */
export const walCommits: Command = {
  path: ['wal', 'commits'],
  summary: 'Show what committed around a moment, to find the one to restore to.',
  details: [
    'Each commit has its time, its position and its transaction. What removed files (DROP, TRUNCATE, VACUUM FULL, REINDEX and others look alike in the WAL) says which; names are not in the WAL.',
    'holdfast restore --to before:LSN brings back everything up to a commit, without it.',
  ],
  examples: [
    { line: 'holdfast wal commits', does: 'The last ten commits.' },
    {
      line: 'holdfast wal commits --around 2026-11-23T09:00:00Z --count 20',
      does: 'Twenty before that moment and twenty after it.',
    },
    { line: 'holdfast wal commits --removed-files', does: 'Commits that removed files: DROP, TRUNCATE and the like.' },
  ],
  access: 'read',
  database: 'none',
  planOptions: ['cluster.name'],
  flags: [
    {
      flag: '--around <moment>',
      help: 'A time with its zone, an LSN, the number of a transaction, name:TEXT for a restore point, or latest. (default: latest)',
    },
    { flag: '--count <number>', help: `So many before it and so many behind it. (default: ${COUNT_DEFAULT})` },
    { flag: '--from <moment>', help: 'Nothing before this.' },
    { flag: '--to <moment>', help: 'Nothing behind this.' },
    { flag: '--removed-files', help: 'Only commits that removed files, and dropped databases.' },
    { flag: '--restore-points', help: 'Only restore points.' },
    { flag: '--lineage <id>', help: 'A lineage of WAL that was left; see holdfast wal status.' },
    {
      flag: '--timeline <which>',
      help: 'latest, current for that of the newest base backup, or a number. (default: latest)',
    },
  ],
  run: async (context, input) => {
    const { chooseHistory, listMoments, parseRecoveryTarget, parseTimelineChoice } = await import(
      '../../restore/index.ts'
    );
    const { formatLsn, formatTimestamp } = await import('../../postgres/index.ts');
    const cluster = await chooseCluster(context, 'look into');
    const [lineage, timeline] = [input.optional('lineage'), input.optional('timeline')];
    const read = (flag: string) => {
      const text = input.optional(flag);
      return text === undefined ? undefined : parseRecoveryTarget(/^\s*\d+\s*$/.test(text) ? `xid:${text}` : text);
    };
    const [around, from, to] = [read('around') ?? ({ kind: 'latest' } as RecoveryTarget), read('from'), read('to')];
    const count = readCount(input);
    const history = await chooseHistory(context.repository, {
      cluster,
      ...(lineage === undefined ? {} : { lineage }),
      ...(timeline === undefined ? {} : { timeline: parseTimelineChoice(timeline) }),
    });
    const listed = await listMoments({
      ...{ repository: context.repository, history, around, count },
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      removedFiles: input.isSet('removed-files'),
      restorePoints: input.isSet('restore-points'),
    });
    const words: Words = { formatLsn, formatTimestamp };
    return {
      json: momentsDocument(cluster, listed, words),
      text: (paint) => momentsText(cluster, listed, words, paint),
    };
  },
};

function readCount(input: CommandInput): number {
  const text = input.optional('count') ?? String(COUNT_DEFAULT);
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= COUNT_MAX) return count;
  throw new HoldfastError('USAGE_INVALID', `invalid number "${text}" for --count`, {
    detail: `Expected a number from 1 to ${COUNT_MAX}.`,
  });
}

/** What the layers below are asked, once they are loaded. */
interface Words {
  formatLsn(lsn: bigint): string;
  formatTimestamp(at: bigint): string;
}

function momentsDocument(cluster: string, listed: ListedMoments, words: Words): { readonly [key: string]: Json } {
  const { route, position, before, after, hasMoreBefore, hasMoreAfter } = listed;
  const document = (moment: Moment) => momentDocument(moment, listed, words);
  return {
    cluster,
    lineage: route.lineage.lineage,
    timeline: route.timeline,
    position: words.formatLsn(position),
    before: before.map(document),
    after: after.map(document),
    moreBefore: hasMoreBefore,
    moreAfter: hasMoreAfter,
    reachable: listed.reachable.map(({ from, to }) => ({ from: words.formatLsn(from), to: words.formatLsn(to) })),
  };
}

function momentDocument(moment: Moment, listed: ListedMoments, { formatLsn, formatTimestamp }: Words): Json {
  const { kind, lsn, at } = moment;
  const common = {
    kind,
    lsn: formatLsn(lsn),
    at: at === null ? null : formatTimestamp(at),
    reachable: isReachable(moment, listed),
  };
  switch (moment.kind) {
    case 'commit':
      return {
        ...common,
        restoreTo: `before:${formatLsn(lsn)}`,
        xid: moment.xid,
        fullXid: moment.fullXid === null ? null : moment.fullXid.toString(),
        prepared: moment.wasPrepared,
        database: moment.databaseOid,
        subtransactions: moment.subtransactions,
        cause: moment.removedFiles.length === 0 ? null : 'unknown',
        removedFiles: moment.removedFiles.map((file) => ({
          tablespace: file.tablespaceOid,
          database: file.databaseOid,
          file: file.relationNumber,
        })),
        changedRelations: moment.changedRelations.map((relation) => ({
          database: relation.databaseOid,
          relation: relation.relationOid,
        })),
      };
    case 'prepared':
      return { ...common, xid: moment.xid, name: moment.name, database: moment.databaseOid };
    case 'restore-point':
      return { ...common, restoreTo: formatLsn(lsn), name: moment.name };
    case 'timeline':
      return { ...common, timeline: moment.timeline };
    case 'database-dropped':
      return { ...common, restoreTo: `before:${formatLsn(lsn)}`, database: moment.databaseOid };
    case 'gap':
      return { ...common, end: formatLsn(moment.end) };
  }
}

/** Whether some snapshot leads to the moment. */
function isReachable({ lsn }: Moment, { reachable }: ListedMoments): boolean {
  return reachable.some(({ from, to }) => from <= lsn && lsn < to);
}

function momentsText(cluster: string, listed: ListedMoments, words: Words, paint: Paint): string[] {
  const { route, position, before, after, hasMoreBefore, hasMoreAfter } = listed;
  const head = `${paint.title(`Cluster ${cluster}`)}, timeline ${route.timeline} of lineage ${shortId(route.lineage.lineage)}`;
  if (before.length + after.length === 0) return [head, 'Nothing of the kind is stored here.'];
  const rows = [
    ...(hasMoreBefore ? [['', '', '', paint.faint('… earlier ones: --count')]] : []),
    ...before.map((moment) => momentRow(moment, listed, words, paint)),
    ['', words.formatLsn(position), '', paint.strong('──── here ────')],
    ...after.map((moment) => momentRow(moment, listed, words, paint)),
    ...(hasMoreAfter ? [['', '', '', paint.faint('… later ones: --count')]] : []),
  ];
  const columns = [
    { head: 'TIME' },
    { head: 'LSN' },
    { head: 'TRANSACTION', align: 'right' as const },
    { head: 'WHAT' },
  ];
  return [head, ...formatTable(columns, rows, paint), ...adviceText(cluster, listed, words, paint)];
}

function momentRow(moment: Moment, listed: ListedMoments, words: Words, paint: Paint): string[] {
  const { lsn, at } = moment;
  const xid = moment.kind === 'commit' || moment.kind === 'prepared' ? String(moment.xid) : '';
  const away = moment.kind === 'gap' || isReachable(moment, listed) ? '' : paint.faint(' (no snapshot leads here)');
  return [
    at === null ? '' : words.formatTimestamp(at),
    words.formatLsn(lsn),
    xid,
    describe(moment, words, paint) + away,
  ];
}

function describe(moment: Moment, { formatLsn }: Words, paint: Paint): string {
  switch (moment.kind) {
    case 'commit': {
      const database = moment.databaseOid === null ? '' : ` in database ${moment.databaseOid}`;
      const kind = moment.wasPrepared ? 'commit of a prepared transaction' : 'commit';
      if (moment.removedFiles.length === 0) return `${kind}${database}`;
      const shown = moment.removedFiles.slice(0, FILES_SHOWN_MAX).map((file) => String(file.relationNumber));
      const more = moment.removedFiles.length - shown.length;
      const files = `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
      return `${kind}${database}, ${paint.warning(`removed files ${files}`)}, cause unknown`;
    }
    case 'prepared':
      return `prepared as "${moment.name}" in database ${moment.databaseOid}`;
    case 'restore-point':
      return paint.good(`restore point "${moment.name}"`);
    case 'timeline':
      return paint.strong(`timeline ${moment.timeline} begins`);
    case 'database-dropped':
      return paint.warning(`database ${moment.databaseOid} dropped`);
    case 'gap':
      return paint.bad(`WAL is missing up to ${formatLsn(moment.end)}`);
  }
}

/** The line to copy: of the last commit that removed something, else of the first one behind the moment. */
function adviceText(cluster: string, listed: ListedMoments, { formatLsn }: Words, paint: Paint): string[] {
  const commits = [...listed.before, ...listed.after].filter(({ kind }) => kind === 'commit');
  const removing = listed.before.findLast((moment) => moment.kind === 'commit' && moment.removedFiles.length > 0);
  const chosen = removing ?? commits.find(({ lsn }) => lsn >= listed.position) ?? commits.at(-1);
  if (chosen === undefined || chosen.kind !== 'commit' || !isReachable(chosen, listed)) return [];
  const command = `holdfast restore --cluster ${quoteForShell(cluster)} --to before:${formatLsn(chosen.lsn)} --into <directory>`;
  return ['', `Everything before transaction ${chosen.xid}, without it: ${paint.strong(command)}`];
}
