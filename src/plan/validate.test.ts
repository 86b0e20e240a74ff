import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { definePlan } from './define-plan.ts';
import { loadPlan } from './load-plan.ts';
import { PlanError, type PlanProblem } from './plan-error.ts';
import type { ResolvedPlan } from './resolved-plan.ts';
import type { Plan } from './schema/index.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-parts-'));
});
after(() => rm(directory, { recursive: true, force: true }));

interface Given {
  readonly text: string;
  readonly form?: 'json' | 'ts';
  readonly environment?: Record<string, string>;
  readonly checksSecrets?: boolean;
}

let plans = 0;

async function load({ text, form = 'json', environment = {}, checksSecrets = false }: Given): Promise<ResolvedPlan> {
  plans += 1;
  const planFile = join(directory, `plan-${plans}.${form}`);
  await writeFile(planFile, text);
  return await loadPlan({
    ...{ planFile, directory, flags: {} },
    needs: checksSecrets ? { secrets: 'required' } : {},
    libraryUrl: new URL('./define-plan.ts', import.meta.url).href,
    machine: { cores: 1, homeDirectory: '/home/ann', isRoot: false, environment },
  });
}

const loadObject = (plan: unknown) => load({ text: JSON.stringify(plan) });

async function problemsOf(loading: Promise<unknown>): Promise<readonly PlanProblem[]> {
  const error = await loading.then(
    () => assert.fail('the plan was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PlanError, inspect(error));
  return error.problems;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

describe('the parts of a plan', () => {
  it('come out complete: durations in milliseconds, null for what was left out, nothing in an empty list', async () => {
    const plan = definePlan({
      functions: [{ name: 'orders', rto: '30m' }],
      scenarios: [{ name: 'fire', probability: 'low', impact: 'very-high', rto: '1h', rpo: '0s' }],
      retention: { default: { keepWithin: '35d', yearly: 7 }, copies: { primary: { daily: 3 } } },
      schedules: [{ name: 'nightly', job: 'full', when: '0 2 * * *', timeZone: 'Europe/Berlin' }],
      verification: { scrub: { when: 'every 1h' } },
    });
    const { functions, scenarios, retention, schedules, verification, objectives, compliance } = await loadObject(plan);
    assert.deepEqual(functions[0], {
      ...{ name: 'orders', title: null, priority: null, rto: 30 * minute, rpo: null },
      ...{ dataSets: [], probes: [], fallback: null },
    });
    assert.deepEqual(scenarios[0]?.steps, []);
    const none = { hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
    const rules = { keepWithin: null, ...none, keepAtLeast: 2, keepTags: [], timeZone: 'UTC', wal: null };
    assert.deepEqual(retention, {
      default: { ...rules, keepWithin: 35 * day, yearly: 7 },
      clusters: {},
      copies: { primary: { ...rules, daily: 3 } },
    });
    assert.deepEqual(
      [schedules[0]?.when.kind, schedules[0]?.timeZone, schedules[0]?.tags],
      ['cron', 'Europe/Berlin', []],
    );
    const { newWithin, period, maxBytes } = verification.scrub!;
    assert.deepEqual([newWithin, period, maxBytes], [hour, 30 * day, null]);
    assert.deepEqual([objectives.rto, objectives.detection], [null, 2 * minute]);
    assert.deepEqual(compliance.legalHolds, []);
  });

  it('are told as declared only where this version does not carry them out', async () => {
    const plan = await loadObject({
      clusters: [{ name: 'shop', region: 'here' }],
      functions: [],
      wal: { budget: '1GiB' },
    });
    assert.deepEqual(plan.declaredOnly, [
      { option: 'clusters[0].region', carriedOut: 'no' },
      { option: 'functions', carriedOut: 'no' },
    ]);
  });

  it('are checked while they are written, where an editor knows types', () => {
    // @ts-expect-error: an editor tells a name that no option has.
    definePlan({ scenario: [] });
    // @ts-expect-error: and a word that none of the choices is.
    definePlan({ scenarios: [{ name: 'fire', probability: 'sometimes', impact: 'low', rto: '1h', rpo: '1h' }] });
    const small: Plan = { retention: { default: { daily: 30 } } };
    assert.equal(definePlan(small), small);
  });
});

describe('mistakes in the parts of a plan', () => {
  const wrong = {
    functions: [
      { name: 'orders', rto: '30 parsecs', dataSet: ['orders'] },
      { name: 'orders', rto: '1h', probes: ['helth'], dataSets: ['orders', 'stock'] },
    ],
    probes: [{ name: 'health', url: 'https://shop.example/health', query: 'SELECT 1' }],
    schedules: [
      { name: 'never', job: 'full', when: '0 0 30 2 *', timeZone: 'Europe/Atlantis' },
      ...['full', 'increment', 'dump', 'prune', 'wal'].map((job) => ({ name: job, job, when: 'continuous' })),
    ],
    retention: { default: { keepAtLeast: 3 }, clusters: { shop: { daily: 1 } }, copies: { wets: { daily: 1 } } },
    repository: { copies: [{ name: 'west', location: '/west' }] },
    roles: [{ name: 'commander', contact: 'ann', deputy: 'ben' }],
    contacts: [{ name: 'bea' }],
    routes: [{ name: 'all', channels: ['pager'], events: ['fire'] }],
    compliance: {
      legalHolds: [
        { name: 'trial', who: 'court', why: 'trial', until: '2026-02-30' },
        { name: 'audit', who: 'court', why: 'audit', from: '2026-03-01', to: '2026-02-01' },
      ],
    },
    acceptedRisks: [{ finding: 'C9', why: 'so be it', until: '2027-03-31' }],
    objectives: { availability: 100 },
  };
  /** Option, what is said of it, and a piece of its line, for each mistake. */
  const expected: [string, string, string][] = [
    ['functions[0].dataSet', 'Unrecognized option. Did you mean "dataSets"?', '"dataSet":'],
    ['functions[0].rto', '"30 parsecs" Expected a duration from 0s to 366d.', '"rto": "30 p'],
    ['functions[1].name', '"orders" Expected a name that no other function has.', '"name": "orders"'],
    [
      'schedules[0].when',
      '"0 0 30 2 *" Expected a line of cron with five fields that comes up at some time',
      '"when":',
    ],
    ['schedules[0].timeZone', '"Europe/Atlantis" Expected a time zone of the IANA database', '"timeZone":'],
    ...['full', 'increment', 'dump', 'prune'].map((job, index): [string, string, string] => [
      `schedules[${index + 1}]`,
      `Expected a line of cron or an interval, as ${job} is nothing that goes on for ever.`,
      '{',
    ]),
    ['retention.default', 'Expected a rule that keeps something: keepWithin, hourly,', '"default": {'],
    ['probes[0]', 'Expected one of url, query and command, found 2.', '{'],
    ['routes[0].events', '["fire"] Expected a list of some of backup-failed,', '"events":'],
    ['compliance.legalHolds[0].until', '"2026-02-30" Expected a day of the calendar', '"until": "2026-02-30"'],
    ['compliance.legalHolds[1]', 'Expected from to be no later than to.', '{'],
    ['acceptedRisks[0].who', 'Missing. Expected the name of a contact or a role in this plan.', '{'],
    ['objectives.availability', '100 Expected a percentage above 0 and below 100', '"availability":'],
    ['functions[1].dataSets', '"orders" Expected the name of a data set, of which this plan has none.', '"dataSets":'],
    ['functions[1].dataSets', '"stock" Expected the name of a data set, of which this plan has none.', '"dataSets":'],
    ['functions[1].probes', '"helth" Expected the name of a probe in this plan. Did you mean "health"?', '"probes":'],
    ['retention.clusters', '"shop" Expected the name of a cluster, of which this plan has none.', '"clusters":'],
    ['retention.copies', '"wets" Expected the name of a copy in this plan. Did you mean "west"?', '"copies":'],
    ['roles[0].contact', '"ann" Expected the name of a contact in this plan: "bea".', '"contact": "ann"'],
    ['roles[0].deputy', '"ben" Expected the name of a contact in this plan. Did you mean "bea"?', '"deputy": "ben"'],
    ['routes[0].channels', '"pager" Expected the name of a channel, of which this plan has none.', '"channels":'],
  ];

  it('are told all at once, each with its line, what was found, and what may stand there', async () => {
    const text = JSON.stringify(wrong, null, 2);
    const problems = await problemsOf(load({ text }));
    const told = problems.map(({ option, value, sentence }) => [
      option,
      `${value === null ? '' : `${value} `}${sentence}`,
    ]);
    const sorted = (rows: string[][]) => rows.map((row) => row.join(': ')).sort();
    const shortened = told.map(([option, sentence]) => {
      const match = expected.find(([path, start]) => path === option && sentence!.startsWith(start));
      return [option!, match?.[1] ?? sentence!];
    });
    assert.deepEqual(sorted(shortened), sorted(expected.map(([option, start]) => [option, start])));
    const lines = text.split('\n');
    for (const [path, , piece] of expected) {
      const { line } = problems.find(({ option }) => option === path)!;
      assert.ok(lines[line! - 1]?.includes(piece), `${path} is said to be on line ${line}: ${lines[line! - 1]}`);
    }
  });

  it('are found at their lines in a module, too', async () => {
    const text = `import { definePlan } from 'holdfast';
      export default definePlan({
        contacts: [{ name: 'ann' }],
        roles: [
          {
            name: 'commander',
            contact: 'anna',
          },
        ],
      } as object);`;
    const [problem] = await problemsOf(load({ text, form: 'ts' }));
    assert.deepEqual([problem?.option, problem?.line], ['roles[0].contact', 7]);
  });

  it('of a key that stands twice are told, as JSON would keep the last in silence', async () => {
    const text = '{\n"retention": {"default": {"daily": 30}},\n"retention": {"default": {"daily": 3}}\n}';
    const [problem] = await problemsOf(load({ text }));
    assert.deepEqual([problem?.option, problem?.line], ['retention', 3]);
  });

  it('never let a secret be seen that stands where a reference should', async () => {
    const plan = {
      channels: [{ name: 'chat', kind: 'slack', address: '#alarms', secret: 'sesame' }],
      application: { secrets: { STRIPE_KEY: 'sesame' } },
      clusters: { name: 'shop', connection: 'host=db password=sesame' },
      probes: ['host=db password=sesame'],
    };
    const problems = await problemsOf(loadObject(plan));
    assert.equal(problems.length, 4);
    assert.doesNotMatch(inspect(problems, { depth: 9 }), /sesame/);
  });

  it('never end in anything but a plan or a list of problems, whatever is written', async () => {
    const names = [
      'name',
      'rto',
      'steps',
      'when',
      'default',
      'daily',
      'secret',
      'contact',
      'url',
      'items',
      'constructor',
      '__proto__',
    ];
    const parts = [
      'clusters',
      'functions',
      'scenarios',
      'retention',
      'verification',
      'application',
      'probes',
      'compliance',
    ];
    const { value } = fc.letrec((tie) => ({
      leaf: fc.constantFrom<unknown>('', 'a', 'every 15m', '1h', 0, -1, 1e99, true, null, 'constructor', '__proto__'),
      list: fc.array(tie('value'), { maxLength: 3 }),
      object: fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 4 }),
      value: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('list'), tie('object')),
    }));
    const plan = fc.dictionary(fc.constantFrom(...parts), value, { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(plan, async (drawn) => {
        const error = await loadObject(drawn).then(
          () => null,
          (thrown: unknown) => thrown,
        );
        assert.ok(error === null || error instanceof PlanError, inspect(error));
      }),
      { numRuns: 60 },
    );
  });
});

describe('references in a plan', () => {
  const plan = {
    channels: [
      { name: 'chat', kind: 'slack', address: '#alarms', secret: { env: 'CHAT' } },
      { name: 'mail', kind: 'email', address: { file: 'absent' } },
    ],
    repository: { primary: { location: '/backups', credentials: { accountKey: { env: 'ACCOUNT' } } } },
  };

  it('are left alone unless all of them are asked for', async () => {
    const { channels } = await loadObject(plan);
    assert.deepEqual(channels[0]?.secret, { env: 'CHAT' });
  });

  it('that lead nowhere are problems then, each at its line', async () => {
    const text = JSON.stringify(plan, null, 2);
    const problems = await problemsOf(load({ text, checksSecrets: true, environment: { CHAT: 'sesame' } }));
    assert.deepEqual(
      problems.map(({ option, sentence }) => [option, sentence]),
      [
        ['repository.primary.credentials.accountKey', 'The environment variable ACCOUNT is not set.'],
        ['channels[1].address', `The file "${join(directory, 'absent')}" could not be read: it does not exist.`],
      ],
    );
    const lines = text.split('\n');
    assert.match(lines[problems[0]!.line! - 1]!, /accountKey/);
    assert.match(lines[problems[1]!.line! - 1]!, /address/);
  });
});
