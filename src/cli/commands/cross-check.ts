import { tmpdir } from 'node:os';
import { formatQuantity, HoldfastError } from '../../lib/index.ts';
import type { CrossCheckResult } from '../../prove/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { type FindingWords, findingLines, takeAFull } from '../doubt-text.ts';
import { formatFacts, type Json, type Paint, shortId } from '../output/index.ts';

/** `holdfast cross-check`. */
export const crossCheck: Command = {
  path: ['cross-check'],
  summary: 'Hold two backups against each other, page by page: what an increment left out must be as it was.',
  details: [
    'Both are restored into places of their own, replayed to the same position and compared; hints and what else PostgreSQL changes without a record do not count. Nothing of them is left afterwards.',
    'Without snapshots the newest one for which everything was read is compared with the one before it.',
    'What differs casts doubt on the older one and on what was built on it: no increment is built on them any more.',
  ],
  examples: [
    { line: 'holdfast cross-check', does: 'The newest full backup with the one before.' },
    { line: 'holdfast cross-check --scratch /srv/scratch', does: 'Restores both below that directory.' },
    {
      line: 'holdfast cross-check --stored',
      does: 'Restores nothing: compares what no WAL changed, where the repository has it.',
    },
  ],
  access: 'write',
  database: 'none',
  planOptions: ['cluster.name', 'backup.workers'],
  arguments: [
    { name: '[snapshot...]', help: 'Two ids, or so many of their first digits that no other begins with them.' },
  ],
  flags: [
    { flag: '--stored', help: 'Restore nothing, and compare only pages that no WAL between the two changed.' },
    {
      flag: '--scratch <directory>',
      help: 'Where both are restored; it needs room for two of them. (default: the directory for temporary files)',
    },
    { flag: '--bin-dir <directory>', help: 'Where the programs of the server are. (default: looked for)' },
  ],
  run: async (context, input) => {
    const { chooseComparison, crossCheck: check } = await import('../../prove/index.ts');
    const { snapshots, named } = await readSnapshots(context, input);
    const { repository, plan, clock, progress, signal } = context;
    const binDirectory = input.optional('bin-dir');
    const start = binDirectory === undefined ? {} : { binDirectory };
    const result = await check({
      ...chooseComparison(snapshots, named),
      ...{ repository, clock, progress, signal },
      stateDirectory: plan.stateDirectory,
      workers: plan.backup.workers,
      replay: input.isSet('stored') ? null : { scratch: readScratch(input), start },
    });
    const { formatLsn } = await import('../../postgres/index.ts');
    const { describeFinding, findingsFacts } = await import('../../protect/backup/index.ts');
    const words = { formatLsn, describeFinding, findingsFacts };
    return {
      reason: result.check.kind === 'agrees' ? 'done' : 'problemFound',
      json: resultDocument(result, words),
      text: (paint) => resultText(result, words, paint),
    };
  },
};

async function readSnapshots(
  { repository, plan }: CommandContext,
  input: CommandInput,
): Promise<{ snapshots: readonly SnapshotRecord[]; named: SnapshotRecord[] }> {
  const named: SnapshotRecord[] = [];
  for (const id of input.all('snapshot')) named.push(await repository.findSnapshot(id));
  const { snapshots } = await repository.listSnapshots();
  const { name, nameOrigin } = plan.cluster;
  return { snapshots: nameOrigin === null ? snapshots : snapshots.filter(({ cluster }) => cluster === name), named };
}

function readScratch(input: CommandInput): string {
  const path = input.optional('scratch') ?? tmpdir();
  if (path !== '') return path;
  throw new HoldfastError('USAGE_INVALID', 'invalid directory "" for --scratch: it is empty', {
    hints: ['Name a directory with room for two restores.'],
  });
}

/** What the layers below are asked, once they are loaded. */
interface Words extends FindingWords {
  formatLsn(lsn: bigint): string;
}

function resultDocument(
  { older, newer, check, reachedLsn, doubtful }: CrossCheckResult,
  words: Words,
): { readonly [key: string]: Json } {
  return {
    older: older.id,
    newer: newer.id,
    reachedLsn: reachedLsn === null ? null : words.formatLsn(reachedLsn),
    agrees: check.kind === 'not-known' ? null : check.kind === 'agrees',
    pages: check.kind === 'agrees' ? check.blocks : null,
    why: check.kind === 'not-known' ? check.reason : null,
    findings: check.kind === 'differs' ? words.findingsFacts(check.findings) : null,
    doubtful: [...doubtful],
  };
}

function resultText(
  { older, newer, check, reachedLsn, doubtful }: CrossCheckResult,
  words: Words,
  paint: Paint,
): string[] {
  const facts = formatFacts(
    [
      ['older', shortId(older.id)],
      ['newer', shortId(newer.id)],
      ...(reachedLsn === null ? [] : [['both at', words.formatLsn(reachedLsn)] as const]),
    ],
    paint,
  );
  if (check.kind === 'agrees') {
    return [`${paint.good('agree')}: ${formatQuantity(check.blocks, 'page')} compared`, ...facts];
  }
  if (check.kind === 'not-known') return [`${paint.warning('not compared')}: ${check.reason}`, ...facts];
  return [
    `${paint.bad('differ')} in ${formatQuantity(check.findings.count, 'page')}`,
    ...facts,
    ...findingLines(check.findings, words, paint),
    `In doubt are: ${doubtful.map(shortId).join(', ')}. ${takeAFull}`,
  ];
}
