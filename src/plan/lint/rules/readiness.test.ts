import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { readinessRules } from './readiness.ts';

const roles = [{ name: 'lead' }];
const scenario = {
  ...{ name: 'failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m', method: 'restore' },
  steps: [{ does: 'Restore.', role: 'lead' }],
};
const { method: _, ...withoutMethod } = scenario;
const pay = { name: 'pay', rto: '1h', probes: ['health'], priority: 1 };
const probes = [{ name: 'health', url: 'https://shop.example/health' }];
const daily = { name: 'fulls', job: 'full', when: '0 2 * * *' };
const git = { name: 'code', url: 'https://git.example/a.git', bundle: '0 1 * * 0' };
const orders = { name: 'orders', cluster: 'shop', maxLoss: '1h' };

describe('what keeps a promise, and what shows it', () => {
  testRules(readinessRules, [
    {
      rule: 'scenario-without-method',
      has: { roles, scenarios: [scenario, { ...withoutMethod, name: 'fire' }] },
      at: [['scenarios[1]']],
      hasNot: [{ roles, scenarios: [scenario] }],
    },
    {
      rule: 'scenario-without-steps',
      has: { scenarios: [{ ...scenario, steps: [] }] },
      at: [['scenarios[0]']],
      hasNot: [{ roles, scenarios: [scenario] }],
    },
    {
      rule: 'step-without-role',
      has: { roles, scenarios: [{ ...scenario, steps: [...scenario.steps, { does: 'Look.' }] }] },
      at: [['scenarios[0]']],
      hasNot: [{ roles, scenarios: [scenario] }],
    },
    {
      rule: 'function-without-probe',
      has: { probes, functions: [pay, { ...pay, name: 'read', probes: [] }] },
      at: [['functions[1]']],
      hasNot: [{ probes, functions: [pay] }],
    },
    {
      rule: 'function-without-priority',
      has: { functions: [{ name: 'pay', rto: '1h' }] },
      at: [['functions[0]']],
      hasNot: [{ probes, functions: [pay] }],
    },
    {
      rule: 'data-set-without-loss',
      has: { dataSets: [orders, { name: 'metrics' }] },
      at: [['dataSets[1]']],
      hasNot: [{ dataSets: [orders] }],
    },
    {
      rule: 'data-set-unprotected',
      has: {
        clusters: [{ name: 'shop' }, { name: 'books' }],
        schedules: [
          { ...daily, cluster: 'books' },
          { name: 'wal', job: 'wal', when: 'continuous' },
        ],
        dataSets: [
          orders,
          { name: 'nowhere' },
          { name: 'code', kind: 'code' },
          { name: 'settings', kind: 'configuration' },
        ],
        application: { configuration: ['.env'] },
      },
      at: [['dataSets[0]'], ['dataSets[1]'], ['dataSets[2]'], ['dataSets[3]']],
      hasNot: [
        {
          schedules: [
            { ...daily, cluster: 'shop' },
            { name: 'files', job: 'application', when: 'every 1d' },
          ],
          dataSets: [
            orders,
            { name: 'only-cluster' },
            { name: 'code', kind: 'code' },
            { name: 'settings', kind: 'configuration' },
          ],
          application: { configuration: ['.env'], repositories: [git] },
        },
      ],
    },
    {
      rule: 'data-set-unprotected',
      // The one place of the code is what is lost.
      has: {
        dataSets: [{ name: 'code', kind: 'code' }],
        application: { repositories: [git, { name: 'b', url: 'https://git.example/b.git' }] },
      },
      at: [['dataSets[0]']],
      hasNot: [
        {
          dataSets: [{ name: 'code', kind: 'code' }],
          application: {
            repositories: [
              { name: 'b', url: 'https://git.example/b.git', mirrors: [{ name: 'far', url: 'c', when: 'every 1d' }] },
            ],
          },
        },
      ],
    },
    {
      rule: 'cluster-unscheduled',
      has: {
        clusters: [{ name: 'shop' }, { name: 'books' }],
        schedules: [
          { ...daily, cluster: 'books' },
          { name: 'wal', job: 'wal', when: 'continuous' },
        ],
      },
      at: [['clusters[0]']],
      hasNot: [
        { clusters: [{ name: 'shop' }, { name: 'books' }], schedules: [daily] },
        { schedules: [{ name: 'dumps', job: 'dump', when: 'every 1d', cluster: 'shop' }] },
        { clusters: [] },
      ],
    },
    {
      rule: 'restores-untested',
      has: { schedules: [daily] },
      at: [['verification.restoreTests', 'schedules[0]']],
      hasNot: [{ schedules: [daily], verification: { restoreTests: [{ name: 'daily', when: 'every 1d' }] } }, {}],
    },
    {
      rule: 'secrets-not-kept',
      has: { application: { configuration: ['.env.example'] } },
      at: [['application.configuration']],
      hasNot: [
        { application: { configuration: ['.env.example'], secrets: [{ name: 'KEY', value: { env: 'KEY' } }] } },
        {},
      ],
    },
  ]);
});
