import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { keepingRules } from './keeping.ts';

const people = {
  name: 'buyers',
  dataSet: 'orders',
  subjects: 'Buyers',
  categories: ['name'],
  purpose: 'Orders',
  basis: 'Contract',
};
const told = { ...people, keepFor: '8y', erasure: 'reapplied' };
const dataSets = [{ name: 'orders' }, { name: 'metrics' }];
const two = {
  clusters: [{ name: 'shop' }, { name: 'books' }],
  dataSets: [
    { name: 'orders', cluster: 'shop' },
    { name: 'titles', cluster: 'books' },
  ],
};
const sevenYears = { name: 'law', keepFor: '7y', why: 'The law.', dataSets: ['orders'] };
const oneYear = { ...sevenYears, keepFor: '1y' };
const tenYearsOfMetrics = { ...sevenYears, name: 'metrics', keepFor: '10y', dataSets: ['metrics'] };

describe('what is kept, and how long', () => {
  testRules(keepingRules, [
    {
      rule: 'C5',
      has: {
        dataSets,
        retention: { default: { yearly: 8 } },
        compliance: {
          retentionClasses: [sevenYears],
          personalData: [people, { ...told, name: 'b', keepFor: '1y' }, { ...people, name: 'c', keepFor: '8y' }],
        },
      },
      at: [
        ['retention.default', 'compliance.personalData[0]'],
        ['retention.default', 'compliance.personalData[1]'],
        ['retention.default', 'compliance.personalData[2]'],
      ],
      hasNot: [
        { dataSets, retention: { default: { yearly: 8 } }, compliance: { personalData: [told] } },
        {
          dataSets,
          retention: { default: { yearly: 8 } },
          compliance: { retentionClasses: [tenYearsOfMetrics], personalData: [told] },
        },
        // Twelve months are a year.
        {
          dataSets,
          retention: { default: { monthly: 12 } },
          compliance: { personalData: [{ ...told, keepFor: '1y' }] },
        },
      ],
    },
    {
      rule: 'C5',
      // Without rules, and with a tag that is kept, there is no end.
      has: { dataSets, compliance: { personalData: [told, { ...people, name: 'guests' }] } },
      at: [
        ['retention', 'compliance.personalData[0]'],
        ['retention', 'compliance.personalData[1]'],
      ],
      hasNot: [{ dataSets }],
    },
    {
      rule: 'C5',
      has: {
        dataSets,
        retention: { default: { yearly: 1, keepTags: ['audit'] } },
        compliance: { personalData: [told] },
      },
      at: [['retention.default', 'compliance.personalData[0]']],
      hasNot: [{ dataSets, retention: { default: { yearly: 1 } }, compliance: { personalData: [told] } }],
    },
    {
      rule: 'C5',
      // Rules of a place and of the cluster count where the data lie, and rules of another cluster do not.
      has: {
        ...two,
        retention: { default: { yearly: 1 }, clusters: { books: { yearly: 9 }, shop: { yearly: 2 } } },
        compliance: { personalData: [told, { ...told, name: 'readers', dataSet: 'titles' }] },
      },
      at: [['retention.clusters.books', 'compliance.personalData[1]']],
      hasNot: [
        {
          ...two,
          repository: { primary: '/a', copies: [{ name: 'west', location: '/b' }] },
          retention: { default: { yearly: 9 }, clusters: { shop: { yearly: 2 } }, copies: { west: { yearly: 8 } } },
          compliance: { personalData: [told] },
        },
      ],
    },
    {
      rule: 'C10',
      has: { retention: { default: { daily: 30, monthly: 12 }, copies: { primary: { keepWithin: '30d' } } } },
      at: [['retention.default', 'retention.copies.primary']],
      hasNot: [
        { retention: { default: { keepWithin: '30d' }, copies: { primary: { keepWithin: '30d', monthly: 12 } } } },
        {
          repository: { primary: '/a', copies: [{ name: 'west', location: '/b' }] },
          retention: { default: { monthly: 12 }, copies: { west: { keepWithin: '30d' } } },
        },
        // What keeps everything for as long keeps the newest of each month, and the newest of each day of 13 months does, too.
        { retention: { default: { monthly: 12 }, copies: { primary: { keepWithin: '366d' } } } },
        { retention: { default: { monthly: 12 }, copies: { primary: { daily: 400 } } } },
        {
          retention: { default: { yearly: 9 }, clusters: { shop: { yearly: 2 } }, copies: { primary: { yearly: 2 } } },
        },
      ],
    },
    ...[
      // However far the others reach, each rule is a promise of its own.
      { default: { keepWithin: '30d' }, copies: { primary: { monthly: 120 } } },
      { default: { daily: 30, wal: '14d' }, copies: { primary: { daily: 30, wal: '13d' } } },
      { default: { daily: 30, keepWithin: '14d' }, copies: { primary: { daily: 30, keepWithin: '13d' } } },
      { default: { daily: 30, keepAtLeast: 3 }, copies: { primary: { daily: 30 } } },
      { default: { daily: 30, keepTags: ['audit'] }, copies: { primary: { daily: 30 } } },
      { default: { daily: 30 }, copies: { primary: { weekly: 52 } } },
    ].map((retention) => ({
      rule: 'C10',
      has: { retention },
      at: [['retention.default', 'retention.copies.primary']],
      hasNot: [],
    })),
    {
      rule: 'C10',
      has: { retention: { clusters: { shop: { yearly: 3 } }, copies: { primary: { yearly: 2 } } } },
      at: [['retention.clusters.shop', 'retention.copies.primary']],
      hasNot: [],
    },
    {
      rule: 'retention-short',
      has: {
        dataSets,
        retention: { default: { yearly: 7 }, clusters: { shop: { monthly: 12 } } },
        compliance: { retentionClasses: [sevenYears] },
      },
      // Those of the only cluster hold there, and not the default.
      at: [['compliance.retentionClasses[0].keepFor', 'retention.clusters.shop']],
      hasNot: [
        { dataSets, retention: { default: { yearly: 8 } }, compliance: { retentionClasses: [sevenYears] } },
        {
          ...two,
          retention: { default: { yearly: 8 }, clusters: { books: { monthly: 1 } } },
          compliance: { retentionClasses: [sevenYears] },
        },
        // One place that keeps it is enough.
        {
          dataSets,
          repository: { primary: '/a', copies: [{ name: 'west', location: '/b' }] },
          retention: { default: { yearly: 1 }, copies: { west: { yearly: 8 } } },
          compliance: { retentionClasses: [sevenYears] },
        },
        { dataSets, retention: { default: { keepWithin: '7y' } }, compliance: { retentionClasses: [sevenYears] } },
        { dataSets, compliance: { retentionClasses: [sevenYears] } },
      ],
    },
    {
      rule: 'retention-short',
      has: {
        ...two,
        retention: { default: { yearly: 7 }, clusters: { books: { yearly: 9 } } },
        compliance: { retentionClasses: [{ ...sevenYears, dataSets: [] }] },
      },
      at: [['compliance.retentionClasses[0].keepFor', 'retention.default']],
      hasNot: [],
    },
    {
      rule: 'retention-short',
      // Thirteen months surely reach back a year, and twelve eleven months.
      has: { dataSets, retention: { default: { monthly: 12 } }, compliance: { retentionClasses: [oneYear] } },
      at: [['compliance.retentionClasses[0].keepFor', 'retention.default']],
      hasNot: [
        { dataSets, retention: { default: { monthly: 13 } }, compliance: { retentionClasses: [oneYear] } },
        {
          dataSets,
          retention: { default: { monthly: 12 } },
          compliance: { retentionClasses: [{ ...oneYear, keepFor: '328d' }] },
        },
      ],
    },
    {
      rule: 'retention-not-run',
      has: { retention: { default: { daily: 30 } } },
      at: [['retention.default']],
      hasNot: [
        { retention: { default: { daily: 30 } }, schedules: [{ name: 'prune', job: 'prune', when: 'every 1d' }] },
        {},
      ],
    },
    {
      rule: 'lock-outlasts-retention',
      has: {
        repository: {
          primary: { location: 's3://a', lock: '31d' },
          copies: [
            { name: 'west', location: 's3://b', lock: '30d' },
            { name: 'east', location: 's3://c', lock: '60d' },
          ],
        },
        retention: { default: { daily: 30 } },
      },
      at: [
        ['repository.primary.lock', 'retention.default'],
        ['repository.copies[1].lock', 'retention.default'],
      ],
      hasNot: [
        { repository: { primary: { location: 's3://a', lock: '60d' } }, retention: { default: { monthly: 2 } } },
        { repository: { primary: { location: 's3://a', lock: '60d' } } },
        {
          repository: { primary: { location: 's3://a', lock: '60d' } },
          retention: { default: { daily: 30, wal: '60d' } },
        },
      ],
    },
    {
      rule: 'lock-outlasts-retention',
      // The rules of the place itself, and not the longest of any.
      has: {
        repository: {
          primary: { location: 's3://a', lock: '60d' },
          copies: [{ name: 'west', location: 's3://b', lock: '60d' }],
        },
        retention: { default: { daily: 90 }, copies: { west: { daily: 30 } } },
      },
      at: [['repository.copies[0].lock', 'retention.copies.west']],
      hasNot: [],
    },
  ]);
});
