/** One line of a difference: kept, taken away or added. */
export interface DiffLine {
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
}

/** Lines around a change that are shown with it. */
const CONTEXT_LINES = 3;
/** The table of the comparison has so many cells at most; beyond, everything in between counts as changed. */
const CELLS_MAX = 4_000_000;

/**
 * The difference between two texts by lines, as `diff -u` shows it, without its head: runs of changes with some lines around them, parted by a line
 * `@@ -from +to @@` that counts from 1. Empty when the texts are equal.
 */
export function diffLines(before: string, after: string): string[] {
  const lines = compareLines(splitLines(before), splitLines(after));
  const shown = lines.map((_, i) => lines.slice(Math.max(0, i - CONTEXT_LINES), i + CONTEXT_LINES + 1).some(isChange));
  const output: string[] = [];
  let [from, to] = [1, 1];
  for (const [i, { sign, text }] of lines.entries()) {
    if (shown[i] === true && shown[i - 1] !== true) output.push(`@@ -${from} +${to} @@`);
    if (shown[i] === true) output.push(`${sign}${text}`);
    if (sign !== '+') from++;
    if (sign !== '-') to++;
  }
  return output;
}

function isChange({ sign }: DiffLine): boolean {
  return sign !== ' ';
}

function splitLines(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** What both begin and end with is set apart first: configurations differ in a few lines. */
export function compareLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  const tailMax = Math.min(before.length, after.length) - head;
  while (tail < tailMax && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const same = (lines: readonly string[]): DiffLine[] => lines.map((text) => ({ sign: ' ', text }));
  return [
    ...same(before.slice(0, head)),
    ...compareMiddle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...same(before.slice(before.length - tail)),
  ];
}

/** By the longest common subsequence of lines. */
function compareMiddle(before: readonly string[], after: readonly string[]): DiffLine[] {
  const width = after.length + 1;
  if (before.length * width > CELLS_MAX) {
    return [
      ...before.map((text): DiffLine => ({ sign: '-', text })),
      ...after.map((text): DiffLine => ({ sign: '+', text })),
    ];
  }
  // common[i * width + j]: how many lines before.slice(i) and after.slice(j) have in common, in order.
  const common = new Uint32Array((before.length + 1) * width);
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      const [down, right] = [common[(i + 1) * width + j]!, common[i * width + j + 1]!];
      common[i * width + j] = before[i] === after[j] ? common[(i + 1) * width + j + 1]! + 1 : Math.max(down, right);
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [down, right] = [common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0];
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push({ sign: ' ', text: before[i++]! });
      j++;
    } else if (j >= after.length || (i < before.length && down >= right)) lines.push({ sign: '-', text: before[i++]! });
    else lines.push({ sign: '+', text: after[j++]! });
  }
  return lines;
}
