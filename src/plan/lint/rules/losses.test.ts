import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { lossRules } from './losses.ts';

const scenario = { name: 'failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m', method: 'restore' };
const orders = { name: 'orders', cluster: 'shop', maxLoss: '0s' };
const everyQuarter = { name: 'increments', job: 'increment', when: 'every 15m' };
const daily = { name: 'fulls', job: 'full', when: '0 2 * * *' };
const weekly = [
  { name: 'fulls', job: 'full', when: '0 2 * * 0' },
  { name: 'increments', job: 'increment', when: '0 2 * * 1-6' },
];
const wal = { name: 'wal', job: 'wal', when: 'continuous' };
const near = { name: 'near', mode: 'synchronous', whenAway: 'block' };
const far = { name: 'far', mode: 'asynchronous' };

describe('what is promised of losses', () => {
  testRules(lossRules, [
    {
      rule: 'C2',
      has: {
        objectives: { rpo: '4m' },
        dataSets: [orders],
        functions: [{ name: 'pay', rto: '1h', rpo: '1m', dataSets: ['orders'] }],
        scenarios: [{ ...scenario, strikes: 'database' }],
      },
      at: [
        ['objectives.rpo', 'scenarios[0].rpo'],
        ['dataSets[0].maxLoss', 'scenarios[0].rpo'],
        ['dataSets[0].maxLoss', 'functions[0].rpo'],
      ],
      hasNot: [
        { objectives: { rpo: '5m' }, dataSets: [orders], scenarios: [{ ...scenario, strikes: 'data' }] },
        { dataSets: [{ ...orders, maxLoss: '5m' }], scenarios: [{ ...scenario, strikes: 'database' }] },
        {
          dataSets: [orders],
          functions: [{ name: 'read', rto: '1h' }],
          scenarios: [{ ...scenario, strikes: 'database', affects: ['read'] }],
        },
        {
          dataSets: [{ ...orders, kind: 'files' }],
          scenarios: [{ ...scenario, strikes: 'database' }],
        },
      ],
    },
    {
      rule: 'C2',
      // Neither what it takes away nor where the data lie is said: it is the loss of the one server.
      has: { dataSets: [{ name: 'orders', maxLoss: '0s' }], scenarios: [scenario] },
      at: [['dataSets[0].maxLoss', 'scenarios[0].rpo']],
      hasNot: [{ dataSets: [{ name: 'orders', maxLoss: '0s' }], scenarios: [{ ...scenario, method: 'failover' }] }],
    },
    {
      rule: 'schedule-misses-promise',
      has: {
        schedules: [daily, everyQuarter, { name: 'files', job: 'application', when: 'every 2d' }],
        scenarios: [scenario],
        dataSets: [
          { ...orders, maxLoss: '10m' },
          { name: 'settings', kind: 'configuration', maxLoss: '1d' },
        ],
      },
      at: [
        ['scenarios[0].rpo', 'schedules[0].when', 'schedules[1].when'],
        ['dataSets[0].maxLoss', 'schedules[0].when', 'schedules[1].when'],
        ['dataSets[1].maxLoss', 'schedules[2].when'],
      ],
      hasNot: [
        { schedules: [daily, everyQuarter, wal], scenarios: [scenario], dataSets: [{ ...orders, maxLoss: '10m' }] },
        { schedules: [daily, everyQuarter], scenarios: [{ ...scenario, rpo: '15m' }] },
        { schedules: [daily], scenarios: [{ ...scenario, method: 'failover' }], dataSets: [orders] },
      ],
    },
    {
      rule: 'schedule-misses-promise',
      has: {
        objectives: { rpo: '1h' },
        schedules: [daily],
        dataSets: [
          { name: 'orders', maxLoss: '1d' },
          { name: 'settings', kind: 'configuration' },
        ],
        functions: [
          { name: 'pay', rto: '1h', rpo: '30m', dataSets: ['orders'] },
          { name: 'ship', rto: '1h', rpo: '30m' },
          { name: 'style', rto: '1h', rpo: '30m', dataSets: ['settings'] },
        ],
      },
      at: [
        ['objectives.rpo', 'schedules[0].when'],
        ['functions[0].rpo', 'schedules[0].when'],
        ['functions[1].rpo', 'schedules[0].when'],
      ],
      hasNot: [
        { objectives: { rpo: '1d' }, schedules: [daily], functions: [{ name: 'pay', rto: '1h', rpo: '1d' }] },
        // No loss at all is a matter of replicas, and no promise is none.
        { objectives: { rpo: '0s' }, schedules: [daily], functions: [{ name: 'pay', rto: '1h', rpo: '0s' }] },
        { schedules: [daily], functions: [{ name: 'pay', rto: '1h' }] },
        // That nothing is scheduled is said of the cluster.
        { objectives: { rpo: '1h' } },
      ],
    },
    {
      rule: 'schedule-misses-promise',
      // Full backups and increments are told by the days between any two of them.
      has: { objectives: { rpo: '23h' }, schedules: weekly },
      at: [['objectives.rpo', 'schedules[0].when', 'schedules[1].when']],
      hasNot: [{ objectives: { rpo: '1d' }, schedules: weekly }],
    },
    {
      rule: 'schedule-misses-promise',
      has: {
        schedules: [{ name: 'app', job: 'application', when: '0 2 * * *' }],
        dataSets: [
          { name: 'uploads', kind: 'files', maxLoss: '1h' },
          { name: 'code', kind: 'code', maxLoss: '5m' },
        ],
        application: {
          repositories: [
            { name: 'a', url: 'a', mirrors: [{ name: 'far', url: 'b', when: 'every 1d' }], bundle: '0 1 * * 0' },
            { name: 'b', url: 'c', bundle: '0 1 * * 0', mirrors: [{ name: 'near', url: 'd', when: 'continuous' }] },
          ],
        },
      },
      at: [
        ['dataSets[0].maxLoss', 'schedules[0].when'],
        ['dataSets[1].maxLoss', 'application.repositories[0].mirrors[0].when', 'application.repositories[0].bundle'],
      ],
      hasNot: [
        {
          schedules: [{ name: 'app', job: 'application', when: 'every 1h' }],
          dataSets: [
            { name: 'uploads', kind: 'files', maxLoss: '1h' },
            { name: 'code', kind: 'code', maxLoss: '1d' },
          ],
          application: {
            repositories: [{ name: 'a', url: 'a', mirrors: [{ name: 'far', url: 'b', when: 'every 1d' }] }],
          },
        },
      ],
    },
    {
      rule: 'zero-loss-without-replica',
      has: { dataSets: [orders], replicas: [far] },
      at: [['dataSets[0].maxLoss']],
      hasNot: [
        { dataSets: [orders], replicas: [near] },
        { dataSets: [{ ...orders, maxLoss: '1s' }], replicas: [far] },
      ],
    },
    {
      rule: 'zero-loss-without-replica',
      // A replica of one cluster is none of another, and of several one that names none is of none that is known.
      has: {
        clusters: [{ name: 'shop' }, { name: 'books' }],
        dataSets: [orders, { name: 'titles', maxLoss: '0s' }],
        replicas: [
          { ...near, cluster: 'books' },
          { ...near, name: 'second' },
        ],
      },
      at: [['dataSets[0].maxLoss'], ['dataSets[1].maxLoss']],
      hasNot: [
        {
          clusters: [{ name: 'shop' }, { name: 'books' }],
          dataSets: [orders],
          replicas: [{ ...near, cluster: 'shop' }],
        },
      ],
    },
    {
      rule: 'zero-loss-lapses',
      has: { dataSets: [orders], replicas: [near, { ...near, name: 'second', whenAway: 'degrade' }] },
      at: [['dataSets[0].maxLoss', 'replicas[1].whenAway']],
      hasNot: [
        { dataSets: [orders], replicas: [near] },
        { dataSets: [{ ...orders, maxLoss: '1m' }], replicas: [{ ...near, whenAway: 'degrade' }] },
      ],
    },
    {
      rule: 'failover-may-lose',
      has: { clusters: [{ name: 'shop', failover: 'automatic' }], dataSets: [orders], replicas: [near, far] },
      at: [['dataSets[0].maxLoss', 'clusters[0].failover', 'replicas[1]']],
      hasNot: [
        { clusters: [{ name: 'shop', failover: 'by-hand' }], dataSets: [orders], replicas: [near, far] },
        {
          clusters: [{ name: 'shop', failover: 'automatic' }],
          dataSets: [orders],
          replicas: [near, { ...far, mayBePrimary: false }],
        },
      ],
    },
  ]);
});
