import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { declaredRules } from './declared.ts';

describe('what is declared and not carried out', () => {
  testRules(declaredRules, [
    {
      rule: 'declared-only',
      has: { clusters: [{ name: 'shop', region: 'east' }], drills: [{ name: 'monthly', when: '0 9 1 * *' }] },
      at: [['clusters[0].region'], ['drills']],
      hasNot: [{}],
    },
  ]);
});
