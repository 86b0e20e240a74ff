import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { serverRules } from './servers.ts';

const near = { name: 'near', mode: 'synchronous', whenAway: 'block', region: 'east' };
const second = { ...near, name: 'second' };
const far = { name: 'far', mode: 'asynchronous', region: 'west' };
const push = 'holdfast wal push %p';
const wal = { name: 'wal', job: 'wal', when: 'continuous' };
const objectives = { availability: 99.9, rpo: '15m' };
const withSettings = (settings: object, providers: string[] = ['self-hosted']) => ({
  clusters: [{ name: 'shop', region: 'east', providers, settings }],
});
const failover = {
  ...{ name: 'failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m' },
  ...{ method: 'failover', strikes: 'database' },
};

describe('what is said of servers', () => {
  testRules(serverRules, [
    {
      rule: 'C9',
      has: { objectives, replicas: [near, far] },
      at: [['objectives.availability', 'replicas[0].mode']],
      hasNot: [
        { objectives, replicas: [near, second] },
        { objectives, replicas: [{ ...near, whenAway: 'degrade' }] },
        { objectives, replicas: [far] },
        { replicas: [near] },
      ],
    },
    {
      rule: 'replica-away-unsaid',
      has: { replicas: [far, { name: 'near', mode: 'synchronous' }] },
      at: [['replicas[1]']],
      hasNot: [{ replicas: [near, far] }],
    },
    {
      rule: 'wal-senders-too-few',
      has: { ...withSettings({ max_wal_senders: 3 }), replicas: [near, far] },
      at: [['clusters[0].settings.max_wal_senders']],
      hasNot: [
        { ...withSettings({ max_wal_senders: '4' }), replicas: [near, far] },
        withSettings({ wal_level: 'replica' }),
      ],
    },
    {
      rule: 'setting-removed',
      has: withSettings({ wal_keep_segments: 100 }),
      at: [['clusters[0].settings.wal_keep_segments']],
      hasNot: [withSettings({ wal_keep_size: '1600MB' })],
    },
    {
      rule: 'archive-overwrites',
      has: withSettings({ archive_command: 'aws s3 cp %p s3://wal/%f' }),
      at: [['clusters[0].settings.archive_command']],
      hasNot: [
        withSettings({ archive_command: 'holdfast wal push %p' }),
        withSettings({ archive_command: 'test ! -f /wal/%f && cp %p /wal/%f' }),
        withSettings({ archive_command: 'test ! -f /wal/%f && gzip < %p > /wal/%f' }),
        withSettings({ archive_command: 'holdfast wal push %p > /var/log/push.log 2> /var/log/%f.err' }),
        withSettings({ archive_command: 'push < /wal/%f' }),
      ],
    },
    ...['gzip < %p > /archive/%f', 'cat %p >"/archive/%f.raw"', 'zstd -c %p >| /archive/%f'].map((command) => ({
      rule: 'archive-overwrites',
      has: withSettings({ archive_command: command }),
      at: [['clusters[0].settings.archive_command']],
      hasNot: [],
    })),
    {
      rule: 'archive-without-timeout',
      has: { ...withSettings({ archive_command: push, archive_timeout: 0 }), objectives },
      at: [['clusters[0].settings.archive_command', 'clusters[0].settings.archive_timeout', 'objectives.rpo']],
      hasNot: [
        ...['60s', 60, '15min', '0.25h', '900000ms'].map((archive_timeout) => ({
          ...withSettings({ archive_command: push, archive_timeout }),
          objectives,
        })),
        withSettings({ archive_command: push }),
        { ...withSettings({ archive_command: push, archive_mode: 'off' }), objectives },
        { ...withSettings({ archive_command: push, archive_mode: false }), objectives },
        // WAL is received as it is written, and pushed besides.
        { ...withSettings({ archive_command: push }), objectives, schedules: [wal] },
        { ...withSettings({ archive_command: push, archive_timeout: 60 }), objectives: { rpo: '0s' } },
      ],
    },
    ...[
      // Later than what may be lost; and a word that the server does not know is no time.
      ...[{ archive_timeout: '16min' }, { archive_timeout: '1d' }, { archive_timeout: 901 }],
    ].map((settings) => ({
      rule: 'archive-without-timeout',
      has: { ...withSettings({ archive_command: push, ...settings }), objectives },
      at: [['clusters[0].settings.archive_command', 'clusters[0].settings.archive_timeout', 'objectives.rpo']],
      hasNot: [],
    })),
    ...[
      { ...withSettings({ archive_command: push, archive_mode: 'on' }), objectives },
      { ...withSettings({ archive_command: push }), objectives, schedules: [{ ...wal, when: 'every 5m' }] },
      { ...withSettings({ archive_command: 'aws s3 cp %p s3://wal/%f' }), objectives, schedules: [wal] },
    ].map((has) => ({
      ...{ rule: 'archive-without-timeout', has, hasNot: [] },
      at: [['clusters[0].settings.archive_command', 'objectives.rpo']],
    })),
    {
      rule: 'setting-not-yours',
      has: withSettings({ archive_mode: 'on', work_mem: '64MB', max_wal_senders: 9 }, [
        ...['self-hosted', 'neon', 'supabase', 'rds'],
      ]),
      at: [
        ['clusters[0].providers[1]', 'clusters[0].settings.archive_mode', 'clusters[0].settings.max_wal_senders'],
        ['clusters[0].providers[2]', 'clusters[0].settings.archive_mode'],
        ['clusters[0].providers[3]', 'clusters[0].settings.archive_mode'],
      ],
      hasNot: [
        withSettings({ archive_mode: 'on' }),
        withSettings({ work_mem: '64MB' }, ['neon']),
        withSettings({ max_wal_senders: 9 }, ['supabase', 'rds']),
      ],
    },
    {
      rule: 'provider-undecided',
      has: withSettings({}, ['neon', 'supabase']),
      at: [['clusters[0]']],
      hasNot: [withSettings({}, ['neon']), {}],
    },
    {
      rule: 'failover-without-replica',
      has: {
        ...withSettings({}),
        scenarios: [failover, { ...failover, name: 'region', strikes: 'region' }],
        replicas: [near, { ...far, mayBePrimary: false }],
      },
      at: [['scenarios[1].method', 'clusters[0]']],
      hasNot: [
        {
          ...withSettings({}),
          scenarios: [failover, { ...failover, name: 'region', strikes: 'region' }],
          replicas: [near, far],
        },
        { scenarios: [{ ...failover, method: 'restore' }] },
      ],
    },
    {
      rule: 'failover-without-replica',
      has: { scenarios: [failover], replicas: [{ ...far, mayBePrimary: false }] },
      at: [['scenarios[0].method', 'clusters[0]']],
      hasNot: [],
    },
  ]);
});
