import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { outageRules } from './outages.ts';

const scenario = { name: 'database-failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m' };
const shopping = { name: 'shopping', rto: '15m' };

describe('what is promised of outages', () => {
  testRules(outageRules, [
    {
      rule: 'C1',
      has: {
        objectives: { rto: '29m' },
        functions: [shopping, { ...shopping, name: 'pay', rto: '1h' }],
        scenarios: [scenario],
      },
      at: [
        ['objectives.rto', 'functions[1].rto'],
        ['objectives.rto', 'scenarios[0].rto'],
      ],
      hasNot: [{ objectives: { rto: '30m' }, functions: [shopping], scenarios: [scenario] }, { scenarios: [scenario] }],
    },
    {
      rule: 'C3',
      // Of 30 days 99.95 % leave 21 minutes and 36 seconds.
      has: {
        objectives: { availability: 99.95, rto: '21m' },
        scenarios: [
          { ...scenario, rto: '10m' },
          { ...scenario, name: 'b', rto: '22m' },
          { ...scenario, name: 'c', rto: '1h' },
        ],
      },
      at: [
        ['objectives.availability', 'scenarios[1].rto'],
        ['objectives.availability', 'scenarios[2].rto'],
      ],
      hasNot: [
        { objectives: { availability: 99.95, rto: '21m' } },
        { objectives: { rto: '5h' }, scenarios: [scenario] },
      ],
    },
    {
      rule: 'C4',
      has: {
        functions: [shopping, { ...shopping, name: 'reading', fallback: 'static-page' }],
        scenarios: [{ ...scenario, strikes: 'database' }],
      },
      at: [
        ['functions[0].rto', 'scenarios[0].rto'],
        ['functions[1].rto', 'scenarios[0].rto'],
      ],
      hasNot: [
        {
          functions: [{ ...shopping, fallback: 'read-only-replica' }],
          scenarios: [{ ...scenario, method: 'restore' }],
        },
        { functions: [{ ...shopping, fallback: 'durable-inbox' }], scenarios: [{ ...scenario, strikes: 'database' }] },
        { functions: [shopping], scenarios: [{ ...scenario, strikes: 'database', rto: '15m' }] },
        { functions: [shopping], scenarios: [{ ...scenario, strikes: 'database', affects: [] }] },
        { functions: [shopping], scenarios: [{ ...scenario, strikes: 'region' }] },
        {
          dataSets: [{ name: 'styles', kind: 'configuration' }],
          functions: [{ ...shopping, dataSets: ['styles'] }],
          scenarios: [{ ...scenario, strikes: 'database' }],
        },
      ],
    },
    {
      rule: 'function-outlasted',
      has: { functions: [shopping], scenarios: [{ ...scenario, strikes: 'region' }] },
      at: [['functions[0].rto', 'scenarios[0].rto']],
      hasNot: [{ functions: [shopping], scenarios: [{ ...scenario, strikes: 'region', rto: '15m' }] }],
    },
    {
      rule: 'steps-too-long',
      has: {
        objectives: { detection: '2m', decision: '5m' },
        scenarios: [
          {
            ...scenario,
            steps: [
              { does: 'Restore.', takes: '20m' },
              { does: 'Look.', takes: '4m' },
            ],
          },
        ],
      },
      at: [['scenarios[0].rto', 'scenarios[0].steps']],
      hasNot: [
        {
          objectives: { detection: '2m', decision: '5m' },
          scenarios: [
            {
              ...scenario,
              steps: [
                { does: 'Restore.', takes: '20m' },
                { does: 'Look.', takes: '3m' },
              ],
            },
          ],
        },
        {
          objectives: { detection: '2m', decision: '28m' },
          scenarios: [{ ...scenario, steps: [{ does: 'Restore.' }] }],
        },
      ],
    },
    {
      rule: 'steps-too-long',
      // Noticing and deciding alone are longer, whatever the steps take.
      has: { objectives: { decision: '1h' }, scenarios: [{ ...scenario, steps: [{ does: 'Restore.' }] }] },
      at: [['scenarios[0].rto', 'scenarios[0].steps']],
      hasNot: [],
    },
    {
      rule: 'vendor-slower',
      has: {
        scenarios: [{ ...scenario, method: 'provider' }],
        vendors: [
          { name: 'hosting', service: 'Servers', rto: '4h' },
          { name: 'dns', service: 'Names' },
          { name: 'network', service: 'Lines', rto: '31m' },
        ],
      },
      at: [['scenarios[0].rto', 'vendors[0].rto', 'vendors[2].rto']],
      hasNot: [
        // The scenario may wait for the one that is quick enough.
        {
          scenarios: [{ ...scenario, method: 'provider' }],
          vendors: [
            { name: 'hosting', service: 'Servers', rto: '4h' },
            { name: 'network', service: 'Lines', rto: '30m' },
          ],
        },
        { scenarios: [{ ...scenario, method: 'provider' }], vendors: [{ name: 'dns', service: 'Names' }] },
        {
          scenarios: [{ ...scenario, method: 'provider' }],
          vendors: [{ name: 'hosting', service: 'Servers', rto: '30m' }],
        },
        {
          scenarios: [{ ...scenario, method: 'restore' }],
          vendors: [{ name: 'hosting', service: 'Servers', rto: '4h' }],
        },
      ],
    },
  ]);
});
