import type { BenchResults, Ratio, RowResult } from './results.ts';
import type { Sample } from './row.ts';
import type { Spread } from './statistics.ts';

/** A run with more of this than of its own wall time on each core was disturbed too much to say anything. */
const otherCpuShareNoted = 0.05;

/** One line while the bench runs. */
export function formatSample(sample: Sample): string {
  const { row, contender, round, wallSeconds, machineCpuSeconds, otherCpuSeconds } = sample;
  const times = `${wallSeconds.toFixed(2)} s wall, ${machineCpuSeconds.toFixed(2)} s CPU`;
  return `round ${round}  ${row.padEnd(20)} ${contender.padEnd(16)} ${times} (${otherCpuSeconds.toFixed(2)} s of others)`;
}

/** The whole report as Markdown, which reads well in a terminal too. */
export function formatReport(results: BenchResults): string {
  const { machine, dataSet } = results;
  return [
    `## ${results.measuredAt.slice(0, 10)}: ${results.rows.map(({ row }) => row).join(', ')}`,
    '',
    `${machine.cores} cores (${machine.processor}), ${gigabytes(machine.memoryBytes)} of memory, Linux ${machine.kernel},` +
      ` Node ${machine.node}, PostgreSQL ${machine.postgres}. Data set: ${gigabytes(dataSet.bytes)} without pg_wal` +
      ` (scale ${dataSet.scale}), in the page cache; repositories on the local disk. Rounds: ${results.rounds}.` +
      ' Median (smallest–largest).',
    ...results.rows.flatMap((row) => ['', ...formatRow(row)]),
    '',
    ...formatDoubts(results),
  ].join('\n');
}

function formatRow(row: RowResult): string[] {
  const contenders = row.contenders.map((result) => [
    `${result.contender} ${result.version}`,
    formatSpread(result.wallSeconds, 1),
    formatSpread(result.machineCpuSeconds, 1),
    formatSpread(result.runCpuSeconds, 1),
    result.storedBytes === undefined ? '' : formatSpread(result.storedBytes, 1e6, 1),
    formatSpread(result.peakMemoryBytes, 1024 * 1024, 0),
  ]);
  const per = row.perGibibyte ? '/GiB' : '';
  const header = [
    row.row,
    `wall s${per}`,
    `machine CPU s${per}`,
    'of it the run’s',
    `stored MB${per}`,
    'peak memory MiB',
  ];
  const ratios = row.ratios.flatMap((ratio) => [
    [
      `${ratio.ours} / ${ratio.against}`,
      formatSpread(ratio.wall, 1),
      formatSpread(ratio.machineCpu, 1),
      formatSpread(ratio.runCpu, 1),
      ratio.stored === undefined ? '' : formatSpread(ratio.stored, 1, 3),
      formatSpread(ratio.peakMemory, 1),
    ],
    ...(Object.keys(ratio.aims).length === 0 ? [] : [formatAims(ratio)]),
  ]);
  return [
    `**${row.row}**: ${row.title}.`,
    '',
    ...formatTable([header, ...contenders, ...ratios]),
    '',
    ...row.contenders.map(({ contender, setup }) => `- ${contender}: ${setup}.`),
    ...row.notes.map((note) => `- ${note}`),
  ];
}

function formatAims({ aims, wall, machineCpu, stored }: Ratio): string[] {
  const judge = (aim: number | undefined, found: Spread | undefined) => {
    if (aim === undefined) return '';
    return `${aim}: ${found !== undefined && found.median <= aim ? 'reached' : 'not reached'}`;
  };
  return ['aim', judge(aims.wall, wall), judge(aims.cpu, machineCpu), '', judge(aims.stored, stored), ''];
}

/** Said by the report itself, so that a number is not quoted without it. */
function formatDoubts({ samples, machine }: BenchResults): string[] {
  const disturbed = samples.filter(
    (sample) => sample.otherCpuSeconds > otherCpuShareNoted * sample.wallSeconds * machine.cores,
  );
  if (disturbed.length === 0) return [];
  const share = `${otherCpuShareNoted * 100} %`;
  return [
    `- **Disturbed**: in ${disturbed.length} of ${samples.length} runs other programs took more than ${share} of the machine.`,
  ];
}

function formatSpread(spread: Spread, unit: number, digits = 2): string {
  const text = (value: number) => (value / unit).toFixed(digits);
  const [median, min, max] = [text(spread.median), text(spread.min), text(spread.max)];
  return min === max ? median : `${median} (${min}–${max})`;
}

function formatTable(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const [header, ...rest] = lines.map(format);
  return [header ?? '', `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rest];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
