import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { makeScratchDirectory } from '../../../test/support/scratch.ts';
import { loadPlanFile } from '../../../test/support/stated-plan.ts';
import { lintExample } from '../../../test/support/wishcraft-plan.ts';
import { lintPlan } from './lint-plan.ts';

/** The contradictions of WishCraft's document, each with the options that disagree. */
const contradictions = [
  ['C1', 'objectives.rto', 'scenarios[3].rto'],
  ['C2', 'objectives.rpo', 'scenarios[4].rpo'],
  ['C2', 'dataSets[0].maxLoss', 'scenarios[0].rpo'],
  // One for each promise, so that whoever answers for one of them answers for no other.
  ['C3', 'objectives.availability', 'objectives.rto'],
  ['C3', 'objectives.availability', 'scenarios[2].rto'],
  ['C3', 'objectives.availability', 'scenarios[3].rto'],
  ['C3', 'objectives.availability', 'scenarios[4].rto'],
  ['C4', 'functions[1].rto', 'scenarios[0].rto'],
  ['C4', 'functions[3].rto', 'scenarios[0].rto'],
  ['C5', 'compliance.retentionClasses[0].keepFor', 'compliance.personalData[0]'],
  [
    ...['C6', 'application.repositories[0].mirrorLag'],
    ...['application.repositories[0].mirrors[0].when', 'application.repositories[0].mirrors[1].when'],
  ],
  ['C7', 'verification.restoreTests[0].depth', 'verification.restoreTests[1].depth'],
  ['C8', 'thresholds.backupAge', 'schedules[1].when', 'schedules[2].when'],
  ['C9', 'objectives.availability', 'replicas[0].mode'],
  ['C10', 'retention.default', 'retention.copies.primary'],
  ['C11', 'drills[0].scope', 'drills[1].scope'],
  // Customers, and two more who are to be told when the first function is back already.
  ['C12', 'communication[4].within', 'functions[3].rto'],
  ['C12', 'communication[9].within', 'functions[3].rto'],
  ['C12', 'communication[10].within', 'functions[3].rto'],
];

/** What else is wrong in the document, and how often. */
const otherErrors = {
  // Scripts and settings (E4 to E9), and what they promise.
  'failover-may-lose': 1,
  'retention-short': 1,
  'wal-senders-too-few': 1,
  'setting-removed': 1,
  'archive-overwrites': 1,
  'archive-without-timeout': 1,
  // One for each of the three providers that the document names.
  'setting-not-yours': 3,
  // No procedure for four of five scenarios (E28).
  'scenario-without-steps': 4,
  // Alarms that are comments (E25), and an issue that nobody may open (E12).
  'alarm-unheard': 1,
  'channel-unreachable': 1,
  'escalation-without-wait': 1,
  // No communication lead, no deputies (E29), and nothing filled in.
  'message-without-channel': 5,
  'role-without-contact': 1,
  'role-without-deputy': 5,
  placeholder: 18,
};

const warnings = {
  'retention-not-run': 1,
  'route-one-way': 2,
  'escalation-unused': 1,
  'replica-away-unsaid': 1,
  'provider-undecided': 1,
  'step-without-role': 1,
  'function-without-probe': 3,
  'function-without-priority': 4,
  'data-set-without-loss': 2,
  'secrets-not-kept': 1,
  'message-without-deadline': 1,
  'message-without-role': 12,
  'vendor-without-account': 4,
  'checklist-without-role': 4,
};

describe('the plan of WishCraft as its document has it', async () => {
  const findings = await lintExample('as-written.config.ts');

  it('has exactly the contradictions that the document has, each with the places that disagree', () => {
    assert.deepEqual(
      findings.filter(({ id }) => /^C\d/.test(id)).map(({ id, places }) => [id, ...places.map(({ option }) => option)]),
      contradictions,
    );
  });

  it('has the other mistakes of the document, and none besides', () => {
    const count = (weight: string) => {
      const others = findings.filter(({ id, severity }) => severity === weight && !/^C\d/.test(id));
      return Object.fromEntries([...Map.groupBy(others, ({ id }) => id)].map(([id, found]) => [id, found.length]));
    };
    assert.deepEqual(count('error'), otherErrors);
    assert.deepEqual(count('warning'), warnings);
  });

  it('is found wrong on lines that are known', () => {
    for (const { id, places } of findings) for (const { line } of places) assert.ok(line !== null && line > 1, id);
  });
});

describe('the mended plan of WishCraft', async () => {
  const findings = await lintExample('holdfast.config.ts');

  it('has no errors and no warnings, and nobody had to accept any', () => {
    assert.deepEqual(
      findings.filter(({ severity }) => severity !== 'note').map(({ id, says }) => [id, says]),
      [],
    );
  });

  it('has notes on what is deliberate, and on what this version does not do', () => {
    assert.deepEqual(
      new Set(findings.map(({ id }) => id)),
      new Set(['function-outlasted', 'example-address', 'declared-only']),
    );
  });
});

describe('the plan at the head of docs/plan.md', () => {
  it('has no errors', async () => {
    const page = await readFile(new URL('../../../docs/plan.md', import.meta.url), 'utf8');
    const directory = await makeScratchDirectory('page');
    try {
      const file = join(directory, 'holdfast.config.ts');
      await writeFile(file, /```ts\n([\s\S]*?)```/.exec(page)![1]!);
      await writeFile(join(directory, 'package.json'), '{"type":"module"}');
      const findings = lintPlan(await loadPlanFile(file), { today: '2026-11-23' });
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error').map(({ id, says }) => [id, says]),
        [],
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
