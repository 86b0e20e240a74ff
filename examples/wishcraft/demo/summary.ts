import { type Column, formatTable, type Paint } from '../../../src/cli/output/index.ts';
import { formatCount, formatDuration, formatQuantity } from '../../../src/lib/index.ts';
import type { AcknowledgedWrite } from '../load.ts';
import { writeKinds } from '../writes.ts';
import { type Findings, isAsPromised } from './account.ts';
import { formatTimeline, type Timeline } from './chart.ts';
import { overallObjectives, scenarioObjectives } from './objectives.ts';
import type { DemoOptions, DisasterName } from './options.ts';
import type { DemoResult } from './result.ts';
import { wrapText } from './screen.ts';

/** Writes that are named one by one when they are not what they should be; the rest is counted. */
const namedWritesMax = 5;

/** All that is told at the end. */
export interface Summary {
  readonly options: Pick<DemoOptions, 'disaster'>;
  readonly result: DemoResult;
  readonly findings: Findings;
  readonly timeline: Timeline;
}

/** The whole summary: what happened when, what was found, what was promised and measured, and the verdict. */
export function formatSummary(summary: Summary, width: number, paint: Paint): string[] {
  const { options, result, findings, timeline } = summary;
  return [
    paint.faint('  writes acknowledged over time'),
    ...formatTimeline(timeline, width, paint),
    '',
    ...formatWrites(findings, paint),
    ...formatRest(findings, timeline, width, paint),
    '',
    ...formatObjectives(options.disaster, result, paint),
    '',
    ...formatVerdict(findings, result, width, paint),
  ];
}

/** Each kind of write: how many were expected, and how many of them were found. */
export function formatWrites({ expected, missing, altered }: Findings, paint: Paint): string[] {
  const columns: Column[] = [
    { head: 'acknowledged before it' },
    { head: 'writes', align: 'right' },
    { head: 'found', align: 'right' },
    { head: 'missing', align: 'right' },
  ];
  const isGone = new Set([...missing, ...altered]);
  const rowOf = (name: string, writes: readonly AcknowledgedWrite[]) => {
    const gone = writes.filter((write) => isGone.has(write)).length;
    const shown = formatCount(gone);
    return [name, formatCount(writes.length), formatCount(writes.length - gone), gone > 0 ? paint.bad(shown) : shown];
  };
  const rows = writeKinds.map((kind) =>
    rowOf(
      kind.replace('-', ' '),
      expected.filter((write) => write.kind === kind),
    ),
  );
  const total = rowOf('together', expected);
  return indented(formatTable(columns, [...rows, total.map((cell) => paint.strong(cell))], paint));
}

/** Promised and measured, side by side. */
export function formatObjectives(disaster: DisasterName, result: DemoResult, paint: Paint): string[] {
  const columns: Column[] = [
    { head: '' },
    { head: 'the plan' },
    { head: 'allows', align: 'right' },
    { head: 'measured', align: 'right' },
  ];
  const rowOf = (objective: string, name: string, allowedSeconds: number, measuredSeconds: number) => {
    const shown = measuredSeconds === 0 ? '0 s' : formatDuration(measuredSeconds * 1_000);
    const measured = measuredSeconds < allowedSeconds ? paint.good(`✓ ${shown}`) : paint.bad(`✗ ${shown}`);
    return [objective, name, formatDuration(allowedSeconds * 1_000), measured];
  };
  const rows = [scenarioObjectives[disaster], overallObjectives].flatMap((objectives) => [
    rowOf('RTO', objectives.name, objectives.rtoSeconds, result.rtoSeconds),
    rowOf('RPO', objectives.name, objectives.rpoSeconds, result.rpoSeconds),
  ]);
  return indented(formatTable(columns, rows, paint));
}

/** What was left out on purpose, and what was never answered; nothing when there is none of either. */
export function formatRest(findings: Findings, timeline: Timeline, width: number, paint: Paint): string[] {
  const { leftOut, decidedByWal, unanswered } = findings;
  const lines: string[] = [];
  if (leftOut.length > 0) {
    const lastMs = leftOut.reduce((last, write) => Math.max(last, write.acknowledgedAtMonotonicMs), 0);
    const span = formatDuration(Math.max(0, lastMs - timeline.disasterMs));
    const byKind = writeKinds.flatMap((kind) => {
      const count = leftOut.filter((write) => write.kind === kind).length;
      return count === 0 ? [] : [`${formatCount(count)} ${kind.replace('-', ' ')}`];
    });
    lines.push(
      `Left out on purpose: ${formatQuantity(leftOut.length, 'write')} acknowledged in the ${span} after it, until the writes were stopped (${byKind.join(', ')}). They are in the damaged database still, which recovery never touches.`,
    );
  }
  if (decidedByWal > 0) {
    lines.push(
      `${formatQuantity(decidedByWal, 'write')} ${decidedByWal === 1 ? 'was' : 'were'} under way at that very moment; on which side ${decidedByWal === 1 ? 'it lies' : 'each lies'} was read from its commit record in the WAL.`,
    );
  }
  if (unanswered.count > 0) {
    const each = unanswered.count === 1 ? 'it may' : 'each may';
    const there =
      unanswered.there === 0 ? 'none is' : `${formatCount(unanswered.there)} ${unanswered.there === 1 ? 'is' : 'are'}`;
    lines.push(
      `${formatQuantity(unanswered.count, 'write')} had been sent and not been answered when the server died; ${each} be there or not, and ${there}.`,
    );
  }
  return lines.flatMap((line) => ['', ...wrapText(`${paint.faint('·')} ${line}`, width, 2)]);
}

/** The last word: whether the recovered database is what was promised, and if not, what is wrong with it. */
export function formatVerdict(findings: Findings, result: DemoResult, width: number, paint: Paint): string[] {
  if (isAsPromised(findings)) {
    const every = formatQuantity(result.acknowledgedWrites, 'write');
    const sentence = `${paint.good(paint.strong('Nothing is missing.'))} Each of ${every} acknowledged up to ${result.recoveredTo} was looked for and found, and none that came later is there.`;
    return wrapText(sentence, width, 0);
  }
  const problems = [
    ...nameWrites('is missing', findings.missing),
    ...nameWrites('is there with another content', findings.altered),
    ...nameWrites('is there, but came later', findings.tooLate),
    ...findings.broken.map((sentence) => `a rule of the data does not hold: ${sentence}`),
  ];
  return [
    paint.bad(paint.strong('The recovered database is not what was promised.')),
    ...problems.flatMap((problem) => wrapText(`${paint.bad('✗')} ${problem}`, width, 2)),
  ];
}

function nameWrites(trouble: string, writes: readonly AcknowledgedWrite[]): string[] {
  const lines = writes.slice(0, namedWritesMax).map((write) => {
    const at = new Date(write.acknowledgedAtMs).toISOString();
    return `write ${write.number} (${write.kind} "${write.evidence}", acknowledged at ${at}) ${trouble}`;
  });
  const more = writes.length - lines.length;
  return more > 0 ? [...lines, `${formatCount(more)} more, of which each ${trouble}`] : lines;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
