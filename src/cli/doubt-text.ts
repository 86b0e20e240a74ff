import type * as backups from '../protect/backup/index.ts';
import { type Json, type Paint, shortId } from './output/index.ts';

/** What the layer below is asked, once it is loaded. */
export type FindingWords = Pick<typeof backups, 'describeFinding' | 'findingsFacts'>;

/** What was found against older snapshots, for programs; null when nothing was. */
export function doubtDocument(doubt: backups.CastDoubt | null, { findingsFacts }: FindingWords): Json {
  return doubt === null ? null : { ...findingsFacts(doubt.findings), doubtful: [...doubt.snapshots] };
}

/** The same for people, in lines. */
export function formatDoubt(
  doubt: backups.CastDoubt | null,
  snapshot: string,
  words: FindingWords,
  paint: Paint,
): string[] {
  if (doubt === null) return [];
  const ids = doubt.snapshots.map(shortId).join(', ');
  return [
    ...findingLines(doubt.findings, words, paint),
    doubt.snapshots.length === 0
      ? 'Everything was read, so that this snapshot is sound. No older one is in doubt: a defect of PostgreSQL explains what it left out, and the one before had been checked.'
      : doubt.snapshots.includes(snapshot)
        ? `The snapshot on which this one stands came into doubt meanwhile, and so is this one. ${takeAFull}`
        : `Everything was read, so that this snapshot is sound. In doubt are: ${ids}.`,
  ];
}

/** What to do about snapshots in doubt: nothing else brings one that is not. */
export const takeAFull = 'Take a new backup that reads everything: holdfast backup --type full';

/** Of a snapshot in doubt, for whoever looks at it. */
export const whatDoubtMeans = `A snapshot in doubt may not hold what the server had: a cross-check found that. Nothing lifts the doubt. ${takeAFull}`;

/** Findings in lines, and how many more there are. */
export function findingLines(
  { count, first }: backups.Findings,
  { describeFinding }: FindingWords,
  paint: Paint,
): string[] {
  const lines = first.map((finding) => paint.bad(`Backups and server do not agree: ${describeFinding(finding)}`));
  return count > first.length ? [...lines, paint.bad(`and ${count - first.length} more`)] : lines;
}

/** What came of comparing with the backup before, as a fact for people. */
export function describeComparison(compared: backups.BackupResult['compared']): [string, string][] {
  if (compared === null) return [];
  const { blocks, why } = compared;
  return [['compared', why === null ? `${blocks} pages that no WAL changed, with the backup before` : `not: ${why}`]];
}
