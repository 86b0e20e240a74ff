import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { rhythmRules } from './rhythms.ts';

const mirror = { name: 'gitlab', url: 'https://gitlab.example/shop.git', when: 'every 1d' };
const code = { name: 'code', url: 'https://git.example/shop.git', mirrorLag: '1h', mirrors: [mirror] };
const test = { name: 'daily', when: '0 4 * * *' };
const drill = { name: 'monthly', when: '0 9 1 * *' };
const halfYears = [
  { ...drill, name: 'january', when: '0 9 1 1 *' },
  { ...drill, name: 'july', when: '0 9 1 7 *', scope: 'with-people' },
];
const everyMonth = [
  { ...drill, name: 'winter', when: '0 9 1 1-3 *' },
  { ...drill, name: 'rest', when: '0 9 1 4-12 *' },
];
const scenario = { name: 'failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m' };

describe('how often things are done', () => {
  testRules(rhythmRules, [
    {
      rule: 'C6',
      has: {
        application: { repositories: [{ ...code, mirrors: [mirror, { ...mirror, name: 'near', when: 'every 5m' }] }] },
      },
      at: [['application.repositories[0].mirrorLag', 'application.repositories[0].mirrors[0].when']],
      hasNot: [
        {
          application: {
            repositories: [
              { ...code, mirrorLag: '1d' },
              { ...code, name: 'b', mirrors: [] },
            ],
          },
        },
      ],
    },
    {
      rule: 'C7',
      has: { verification: { restoreTests: [test, { ...test, name: 'weekly', when: '0 4 * * 0' }] } },
      at: [['verification.restoreTests[0].depth', 'verification.restoreTests[1].depth']],
      hasNot: [
        { verification: { restoreTests: [test, { ...test, name: 'weekly', depth: 'random-moment' }] } },
        {
          clusters: [{ name: 'shop' }, { name: 'books' }],
          verification: {
            restoreTests: [
              { ...test, cluster: 'shop' },
              { ...test, name: 'b', cluster: 'books' },
            ],
          },
        },
      ],
    },
    {
      rule: 'C11',
      has: { drills: [drill, { ...drill, name: 'quarterly' }, { ...drill, name: 'people', scope: 'with-people' }] },
      at: [['drills[0].scope', 'drills[1].scope']],
      hasNot: [
        { drills: [drill, { ...drill, name: 'quarterly', scope: 'with-people' }] },
        { scenarios: [scenario], drills: [drill, { ...drill, name: 'failure', scenarios: ['failure'] }] },
      ],
    },
    {
      rule: 'drill-too-rare',
      has: { scenarios: [scenario, { ...scenario, name: 'fire', drillEvery: '60d' }], drills: [drill] },
      at: [['scenarios[1].drillEvery', 'drills[0].when']],
      hasNot: [
        { scenarios: [scenario, { ...scenario, name: 'fire', drillEvery: '62d' }], drills: [drill] },
        {
          scenarios: [scenario, { ...scenario, name: 'fire', drillEvery: '31d' }],
          drills: [{ ...drill, scenarios: ['fire'] }],
        },
      ],
    },
    {
      rule: 'drill-too-rare',
      // Two series of the same scenarios are one, of a drill in every half of the year.
      has: { scenarios: [{ ...scenario, drillEvery: '183d' }], drills: halfYears },
      at: [['scenarios[0].drillEvery', 'drills[0].when', 'drills[1].when']],
      hasNot: [
        { scenarios: [{ ...scenario, drillEvery: '184d' }], drills: halfYears },
        // One in January to March, the other in the months that are left: by itself neither is ever soon enough.
        { scenarios: [{ ...scenario, drillEvery: '31d' }], drills: everyMonth },
      ],
    },
    {
      rule: 'scenario-without-drill',
      has: { scenarios: [scenario, { ...scenario, name: 'fire' }], drills: [{ ...drill, scenarios: ['fire'] }] },
      at: [['scenarios[0]']],
      hasNot: [{ scenarios: [scenario], drills: [drill] }],
    },
    {
      rule: 'scrub-too-rare',
      has: { verification: { scrub: { when: 'every 2h' } } },
      at: [['verification.scrub.when', 'verification.scrub.newWithin']],
      hasNot: [{ verification: { scrub: { when: 'every 2h', newWithin: '2h' } } }, {}],
    },
  ]);
});
