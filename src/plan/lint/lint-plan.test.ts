import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { formatFindingKinds } from '../../../test/support/finding-page.ts';
import { makeScratchDirectory } from '../../../test/support/scratch.ts';
import { readStatedPlan } from '../../../test/support/stated-plan.ts';
import { lintPlan, listFindingKinds } from './lint-plan.ts';

const today = '2026-11-23';

/** Two functions that are promised later than the whole, which is C1 twice. */
const contradicting = {
  objectives: { rto: '30m' },
  functions: [
    { name: 'pay', rto: '1h' },
    { name: 'read', rto: '2h' },
  ],
  contacts: [{ name: 'ann', phone: '+1 202 555 0101' }],
};

const risk = { finding: 'C1', who: 'ann', why: 'Nobody reads at night.', until: today };

describe('the linter', () => {
  let directory: string;
  before(async () => {
    directory = await makeScratchDirectory('lint');
  });
  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function lint(document: object, ids: readonly string[]) {
    const findings = lintPlan(await readStatedPlan(directory, document), { today });
    return findings.filter(({ id }) => ids.includes(id));
  }

  it('names file and line of each place that disagrees', async () => {
    const [first] = await lint(contradicting, ['C1']);
    assert.equal(first?.severity, 'error');
    assert.deepEqual(
      first?.places.map(({ option, line }) => [option, line]),
      [
        ['objectives.rto', 11],
        ['functions[0].rto', 16],
      ],
    );
    assert.equal(first?.places[0]?.file, `${directory}/holdfast.config.json`);
    assert.equal(first?.accepted, null);
  });

  it('tells errors before warnings, and those before notes', async () => {
    const plan = await readStatedPlan(directory, {
      ...contradicting,
      acceptedRisks: [{ ...risk, finding: 'C9' }],
      scenarios: [{ name: 'fire', probability: 'low', impact: 'high', strikes: 'region', rto: '3h', rpo: '5m' }],
    });
    const weights = lintPlan(plan, { today }).map(({ severity }) => ['error', 'warning', 'note'].indexOf(severity));
    assert.deepEqual(weights, [...weights].sort());
    assert.deepEqual(new Set(weights), new Set([0, 1, 2]));
  });

  it('lets somebody answer for a finding wherever it is, up to the last day', async () => {
    const findings = await lint({ ...contradicting, acceptedRisks: [risk] }, ['C1', 'acceptance-expired']);
    const accepted = { who: 'ann', why: 'Nobody reads at night.', until: today };
    assert.deepEqual(
      findings.map((finding) => finding.accepted),
      [accepted, accepted],
    );
  });

  it('lets somebody answer for a finding at one place, and in all that stands in it', async () => {
    for (const at of ['functions.read.rto', 'functions.read']) {
      const findings = await lint({ ...contradicting, acceptedRisks: [{ ...risk, at }] }, ['C1']);
      assert.deepEqual(
        findings.map(({ accepted }) => accepted?.who),
        [undefined, 'ann'],
      );
    }
  });

  it('knows the place that somebody answers for by its name, so that another can be put before it', async () => {
    const acceptedRisks = [{ ...risk, at: 'functions.read.rto' }];
    const functions = [{ name: 'ship', rto: '3h' }, ...contradicting.functions];
    const findings = await lint({ ...contradicting, functions, acceptedRisks }, ['C1']);
    assert.deepEqual(
      findings.map(({ places, accepted }) => [places[1]?.option, places[1]?.path, accepted?.who]),
      [
        ['functions[0].rto', 'functions.ship.rto', undefined],
        ['functions[1].rto', 'functions.pay.rto', undefined],
        ['functions[2].rto', 'functions.read.rto', 'ann'],
      ],
    );
    const byPosition = [{ ...risk, at: 'functions[2].rto' }];
    const all = await lint({ ...contradicting, functions, acceptedRisks: byPosition }, ['C1', 'acceptance-idle']);
    assert.deepEqual(
      all.map(({ id, accepted }) => [id, accepted]),
      [
        ['C1', null],
        ['C1', null],
        ['C1', null],
        ['acceptance-idle', null],
      ],
    );
  });

  it('lets somebody answer for one recovery that is too long for the month, and for no other', async () => {
    const scenario = { probability: 'low', impact: 'high', rto: '3h', rpo: '5m' };
    const plan = {
      ...contradicting,
      objectives: { availability: 99.9 },
      scenarios: [
        { name: 'fire', ...scenario },
        { name: 'flood', ...scenario },
      ],
      acceptedRisks: [{ ...risk, finding: 'C3', at: 'scenarios.flood.rto' }],
    };
    const findings = await lint(plan, ['C3']);
    assert.deepEqual(
      findings.map(({ places, accepted }) => [places[1]?.path, accepted?.who]),
      [
        ['scenarios.fire.rto', undefined],
        ['scenarios.flood.rto', 'ann'],
      ],
    );
  });

  it('names what stands in lists within lists', async () => {
    const application = {
      repositories: [
        { name: 'code', url: 'a', mirrorLag: '1h', mirrors: [{ name: 'far', url: 'b', when: 'every 1d' }] },
      ],
    };
    const [found] = await lint({ application }, ['C6']);
    assert.deepEqual(
      found?.places.map(({ path }) => path),
      ['application.repositories.code.mirrorLag', 'application.repositories.code.mirrors.far.when'],
    );
  });

  it('counts a finding again when the day is over, and says so', async () => {
    const expired = { ...risk, until: '2026-11-22' };
    const findings = await lint({ ...contradicting, acceptedRisks: [expired] }, ['C1', 'acceptance-expired']);
    assert.deepEqual(
      findings.map(({ id, accepted }) => [id, accepted]),
      [
        ['C1', null],
        ['C1', null],
        ['acceptance-expired', null],
      ],
    );
  });

  it('says nothing of what ran out where somebody answers for it anew', async () => {
    const renewed = [{ ...risk, until: '2026-11-22' }, risk];
    assert.deepEqual(
      await lint({ ...contradicting, acceptedRisks: renewed }, ['acceptance-expired', 'acceptance-idle']),
      [],
    );
  });

  it('names no line of the file for what a variable says', async () => {
    const environment = { HOLDFAST_REPOSITORY: '/elsewhere' };
    const plan = await readStatedPlan(directory, contradicting, environment);
    const [first] = lintPlan(plan, { today }).filter(({ id }) => id === 'too-few-places');
    assert.deepEqual(first?.places, [
      { option: 'repository.primary.location', path: 'repository.primary.location', file: null, line: null },
    ]);
  });

  it('says of an accepted risk that it is not found', async () => {
    const idle = [
      { ...risk, finding: 'no-such-finding' },
      { ...risk, at: 'functions.ship' },
    ];
    const findings = await lint({ ...contradicting, acceptedRisks: idle }, ['acceptance-idle']);
    assert.deepEqual(
      findings.map(({ places }) => places[0]?.option),
      ['acceptedRisks[0]', 'acceptedRisks[1]'],
    );
  });
});

describe('docs/plan-lint.md', () => {
  it('tells every finding as the rules have it', async () => {
    const page = await readFile(new URL('../../../docs/plan-lint.md', import.meta.url), 'utf8');
    const [, findings = ''] = page.split('\n## Findings\n\n');
    assert.equal(findings.trimEnd(), formatFindingKinds().join('\n').trimEnd());
  });

  it('has ids that an accepted risk can name, each once', () => {
    const ids = listFindingKinds().map(({ id }) => id);
    assert.deepEqual(
      ids.filter((id, index) => ids.indexOf(id) !== index || !/^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(id)),
      [],
    );
  });
});
