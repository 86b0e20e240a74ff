import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { formatPlanOptions } from '../../../test/support/plan-page.ts';
import { planJsonSchema } from '../json-schema.ts';
import { listAllOptions } from '../option.ts';
import { chosenSchema, planSchema } from './index.ts';

const options = [...listAllOptions(chosenSchema), ...listAllOptions(planSchema)];

it('every option says what it is for and what it may be, and a default says why it is this', () => {
  assert.ok(options.length >= 10);
  for (const { path, facts } of options) {
    assert.match(facts.help, /^[A-Z].*\.$/, path);
    assert.doesNotMatch(facts.expected, /^[A-Z][a-z]|\.$/, path);
    assert.match(facts.default?.reason ?? 'Left out.', /^[A-Z].*\.$/, path);
  }
});

it('every default is a value that the option itself accepts', () => {
  const machine = { cores: 1_000, homeDirectory: '/home/ann', isRoot: true, environment: {} };
  for (const { path, schema, facts } of options) {
    if (facts.default !== undefined) assert.ok(schema.safeParse(facts.default.value(machine)).success, path);
  }
});

it('no flag and no variable means two options', () => {
  const flags = options.flatMap(({ facts }) => (facts.flag === undefined ? [] : [facts.flag.split(' ')[0]]));
  const variables = options.flatMap(({ facts }) => (facts.environment ?? []).map(({ name }) => name));
  assert.equal(new Set(flags).size, flags.length);
  assert.equal(new Set(variables).size, variables.length);
});

it('a secret is given by reference only', () => {
  for (const { path, schema, facts } of options) {
    if (facts.secret !== true) continue;
    assert.equal(schema.safeParse('postgresql://ann:sesame@db/shop').success, false, path);
    const named = { env: 'SOMEWHERE' };
    // What opens a store has several parts, each of them a reference.
    const parts = path.endsWith('.credentials') ? { accessKeyId: 'ann', secretAccessKey: named } : named;
    assert.ok(schema.safeParse(parts).success, path);
    assert.equal(schema.safeParse({ accessKeyId: 'ann', secretAccessKey: 'sesame' }).success, false, path);
  }
});

it('docs/plan.md tells of every option what the schema declares', () => {
  const page = readFileSync(new URL('../../../docs/plan.md', import.meta.url), 'utf8');
  const expected = `## Options\n\n${formatPlanOptions().join('\n')}`;
  assert.equal(page.slice(page.indexOf('## Options\n')), expected);
});

it('docs/plan.schema.json is what the schema declares', () => {
  const published = readFileSync(new URL('../../../docs/plan.schema.json', import.meta.url), 'utf8');
  assert.equal(published, `${JSON.stringify(planJsonSchema(), null, 2)}\n`);
});
