import { listAllOptions, planSchema } from '../../src/plan/index.ts';

/** The table of docs/plan.md, made from the schema; `schema.test.ts` compares. */
export function formatPlanRows(): string[] {
  const rows = listAllOptions(planSchema).map(({ path, facts }) => {
    const given = [
      ...(facts.flag === undefined ? [] : [facts.flag]),
      ...(facts.environment ?? []).map(({ name }) => name),
    ];
    const byDefault = facts.default === undefined ? '' : ` Default: ${facts.default.text}. ${facts.default.reason}`;
    const cells = [
      `\`${path}\``,
      `${facts.help}${byDefault}`,
      facts.expected,
      given.map((name) => `\`${name}\``).join(', '),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| option | meaning | expected | flag, environment |', '|---|---|---|---|', ...rows];
}
