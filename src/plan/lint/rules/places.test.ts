import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { placeRules } from './places.ts';

const kept = (primary: unknown, ...copies: unknown[]) => ({
  repository: { primary, copies: copies.map((location, index) => ({ name: `copy-${index}`, location })) },
});

describe('where the repository is kept', () => {
  testRules(placeRules, [
    {
      rule: 'too-few-places',
      has: kept('/backups'),
      at: [['repository.primary']],
      hasNot: [kept('/backups', 's3://west/shop'), kept({ env: 'A' }, { env: 'B' })],
    },
    {
      rule: 'places-together',
      has: kept('s3://shop/a', 's3://shop/b?region=us-west-2'),
      at: [['repository.primary', 'repository.copies[0].location']],
      hasNot: [
        kept('s3://shop/a', 's3://west/a'),
        kept('s3://shop/a', 's3://shop/a?endpoint=https://store.example'),
        kept('/a', '/b'),
        kept({ env: 'A' }, { env: 'B' }),
      ],
    },
    {
      rule: 'places-on-one-host',
      has: kept({ location: '/a' }, '/b'),
      at: [['repository.primary.location', 'repository.copies[0].location']],
      hasNot: [kept('/a', '/b', 's3://west/shop'), kept('/a', { env: 'B' })],
    },
  ]);
});
