import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, it } from 'node:test';
import type { Rule } from '../../src/plan/lint/finding.ts';
import { makeScratchDirectory } from './scratch.ts';
import { readStatedPlan } from './stated-plan.ts';

/** What a rule finds, and what it leaves alone. */
export interface RuleCase {
  readonly rule: string;
  /** What a plan says that has it. */
  readonly has: object;
  /** The places of each finding there. */
  readonly at: readonly (readonly string[])[];
  /** What plans say that have it not: as near to the other as can be. */
  readonly hasNot: readonly object[];
}

/** One test for each case, and one that there is a case for every rule. Stands inside a `describe`. */
export function testRules(rules: readonly Rule[], cases: readonly RuleCase[]): void {
  let directory: string;
  before(async () => {
    directory = await makeScratchDirectory('rules');
  });
  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function find(id: string, document: object) {
    const rule = rules.find((each) => each.id === id);
    assert.ok(rule !== undefined, `there is a rule ${id}`);
    return rule.find(await readStatedPlan(directory, document));
  }

  for (const { rule, has, at, hasNot } of cases) {
    it(`finds ${rule} where it is, and not where it is not`, async () => {
      const found = await find(rule, has);
      assert.deepEqual(
        found.map((each) => each.at),
        at,
      );
      for (const { says } of found) assert.match(says, /^[\p{L}"\d].*\.$/u);
      for (const document of hasNot) assert.deepEqual(await find(rule, document), [], JSON.stringify(document));
    });
  }

  it('has a case for every rule', () => {
    const tested = new Set(cases.map(({ rule }) => rule));
    assert.deepEqual(
      rules.map(({ id }) => id).filter((id) => !tested.has(id)),
      [],
    );
  });
}
