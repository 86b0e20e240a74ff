import type { z } from 'zod';
import { chosenSchema, listOptions, type Option, planSchema } from '../../src/plan/index.ts';

/** What docs/plan.md says of the options, made from the schema: a section for each part; `schema.test.ts` compares. */
export function formatPlanOptions(): string[] {
  const told = new Set<z.ZodObject>();
  const sections = new Map<string, Option[]>();
  for (const option of [...listOptions(chosenSchema).options, ...listOptions(planSchema).options]) {
    const section = option.path.split('.')[0]!;
    const title = section === 'cluster' ? 'On the command line' : section;
    sections.set(title, [...(sections.get(title) ?? []), option]);
  }
  return [...sections].flatMap(([title, options]) => formatSection(title, options, told));
}

function formatSection(title: string, options: readonly Option[], told: Set<z.ZodObject>): string[] {
  const [first] = options;
  const isPart = options.length === 1 && first!.structure !== null;
  const heading = title.includes(' ') ? title : `\`${title}\``;
  const rows = isPart
    ? rowsInside(first!, told)
    : options.flatMap((option) => [formatRow(option), ...rowsInside(option, told)]);
  return [
    ...[`### ${heading}`, ''],
    ...(isPart ? [`${first!.facts.help}${carriedOutWords[first!.carriedOut]}`, ''] : []),
    ...['| option | meaning | expected | flag, environment |', '|---|---|---|---|', ...rows, ''],
  ];
}

const carriedOutWords = {
  yes: '',
  'in-part': ' *This version carries it out in part.*',
  no: ' *Declared only: this version does not carry it out.*',
};

/** Groups that stand in several places, such as the rules of retention, are told at the first. */
function rowsInside(option: Option, told: Set<z.ZodObject>): string[] {
  if (option.structure === null || told.has(option.structure.group)) return [];
  told.add(option.structure.group);
  return option.inner.flatMap((inner) => [
    formatRow(inner, inner.carriedOut === option.carriedOut ? '' : carriedOutWords[inner.carriedOut]),
    ...rowsInside(inner, told),
  ]);
}

function formatRow({ path, facts }: Option, carriedOut = ''): string {
  const given = [
    ...(facts.flag === undefined ? [] : [facts.flag]),
    ...(facts.environment ?? []).map(({ name }) => name),
  ];
  const byDefault = facts.default === undefined ? '' : ` Default: ${facts.default.text}. ${facts.default.reason}`;
  const cells = [
    `\`${path}\``,
    `${facts.help}${byDefault}${carriedOut}`,
    facts.expected,
    given.map((name) => `\`${name}\``).join(', '),
  ];
  return `| ${cells.join(' | ')} |`;
}
