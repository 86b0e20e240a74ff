/** A file of the server's configuration in which a few lines are ours: between two marks, once, whatever stands around them. */

const begin = '# --- begin of what "holdfast database setup" wrote; changes in here are overwritten ---';
const end = '# --- end of what "holdfast database setup" wrote ---';

/** The lines that are ours; empty when there are none. */
export function readBlock(text: string): string[] {
  const lines = text.split('\n');
  const [from, to] = [lines.indexOf(begin), lines.indexOf(end)];
  return from === -1 || to < from ? [] : lines.slice(from + 1, to);
}

/**
 * The text with our lines in the place of those that were ours before, else at the `place`; without any lines the block is taken out.
 * The same lines give the same text however often (error E8).
 */
export function replaceBlock(text: string, own: readonly string[], place: 'top' | 'bottom'): string {
  const lines = text.split('\n');
  const [from, to] = [lines.indexOf(begin), lines.indexOf(end)];
  const block = own.length === 0 ? [] : [begin, ...own, end];
  if (from !== -1 && to >= from) return [...lines.slice(0, from), ...block, ...lines.slice(to + 1)].join('\n');
  if (block.length === 0) return text;
  if (place === 'top') return `${block.join('\n')}\n${text}`;
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${block.join('\n')}\n`;
}

/** One line of postgresql.conf. A backslash and a quote are doubled. Source: PostgreSQL manual, "Parameter Interaction via the Configuration File". */
export function formatSetting(name: string, value: string): string {
  return `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** What the lines of a block say, by name. */
export function parseSettings(lines: readonly string[]): Map<string, string> {
  return new Map(
    lines.flatMap((line) => {
      const [, name, value] = /^([a-z_]+) = '((?:[^'\\]|''|\\\\)*)'$/.exec(line) ?? [];
      if (name === undefined || value === undefined) return [];
      return [[name, value.replaceAll("''", "'").replaceAll('\\\\', '\\')] as const];
    }),
  );
}
