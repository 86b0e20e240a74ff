import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { alarmRules } from './alarms.ts';

const daily = { name: 'fulls', job: 'full', when: '0 2 * * *' };
const everyQuarter = { name: 'increments', job: 'increment', when: 'every 15m' };
const weekly = [
  { name: 'fulls', job: 'full', when: '0 2 * * 0' },
  { name: 'increments', job: 'increment', when: '0 2 * * 1-6' },
];
const wal = { name: 'wal', job: 'wal', when: 'continuous' };
const schedules = [daily, everyQuarter, wal];
const mail = { name: 'mail', kind: 'email', address: 'team@shop.example' };
const chat = { name: 'chat', kind: 'slack', address: '#alarms', secret: { env: 'SLACK' } };
const channels = [mail, chat];
const contacts = [{ name: 'ann' }, { name: 'bob' }];
const onCall = { name: 'on-call', steps: [{ call: 'ann' }, { call: 'bob', after: '5m' }] };
const route = { name: 'all', channels: ['mail'] };

describe('who is told that something is wrong', () => {
  testRules(alarmRules, [
    {
      rule: 'C8',
      has: { schedules, thresholds: { backupAge: '25h' } },
      at: [['thresholds.backupAge', 'schedules[1].when', 'schedules[2].when']],
      hasNot: [
        { schedules, thresholds: { backupAge: '25h', incrementAge: '20m', walAge: '1m' }, objectives: { rpo: '15m' } },
        { schedules: [daily], thresholds: { backupAge: '25h' } },
        { schedules },
      ],
    },
    {
      rule: 'C8',
      has: { schedules: [daily, everyQuarter], thresholds: { incrementAge: '20m' }, objectives: { rpo: '15m' } },
      at: [['objectives.rpo', 'thresholds.incrementAge']],
      hasNot: [
        { schedules: [daily], thresholds: { backupAge: '25h' }, objectives: { rpo: '2d' } },
        // No alarm comes at once.
        { schedules: [daily, everyQuarter], thresholds: { incrementAge: '20m' }, objectives: { rpo: '0s' } },
      ],
    },
    {
      rule: 'alarm-early',
      has: { schedules, thresholds: { backupAge: '1d', incrementAge: '10m' } },
      at: [
        ['thresholds.backupAge', 'schedules[0].when'],
        ['thresholds.incrementAge', 'schedules[0].when', 'schedules[1].when'],
      ],
      hasNot: [{ schedules, thresholds: { backupAge: '25h', incrementAge: '16m' } }, { schedules }],
    },
    {
      rule: 'alarm-early',
      // Some backup comes every day, although neither of both does.
      has: { schedules: weekly, thresholds: { incrementAge: '1d' } },
      at: [['thresholds.incrementAge', 'schedules[0].when', 'schedules[1].when']],
      hasNot: [{ schedules: weekly, thresholds: { incrementAge: '25h' } }],
    },
    {
      rule: 'alarm-absent',
      has: { schedules: [daily] },
      at: [['thresholds', 'schedules[0]']],
      hasNot: [{ schedules: [daily], thresholds: { backupAge: '25h' } }, {}],
    },
    {
      rule: 'alarm-unheard',
      has: {
        channels,
        routes: [
          { ...route, events: ['backup-old'] },
          { ...route, name: 'b', events: ['wal-gap'] },
        ],
      },
      at: [['routes[0].events', 'routes[1].events']],
      hasNot: [
        {
          channels,
          routes: [
            { ...route, events: ['backup-old'] },
            { ...route, name: 'b' },
          ],
        },
        { channels },
      ],
    },
    {
      rule: 'alarm-unheard',
      has: { channels, thresholds: { backupAge: '25h', copyLag: '5m' } },
      at: [['thresholds.backupAge', 'thresholds.copyLag']],
      hasNot: [{ channels, thresholds: { backupAge: '25h' }, routes: [route] }],
    },
    {
      rule: 'alarm-unheard',
      // What is no worse than that goes nowhere.
      has: {
        channels,
        routes: [
          { ...route, severities: ['sev-1', 'sev-2'] },
          { ...route, name: 'b', events: ['backup-old'], severities: ['sev-3', 'sev-4'] },
        ],
      },
      at: [['routes[0].events', 'routes[1].events']],
      hasNot: [
        {
          channels,
          routes: [
            { ...route, severities: ['sev-1', 'sev-2'] },
            { ...route, name: 'b', severities: ['sev-3', 'sev-4'] },
          ],
        },
      ],
    },
    {
      rule: 'route-one-way',
      has: { channels, routes: [route, { ...route, name: 'b', otherwise: 'mail' }] },
      at: [['routes[0]'], ['routes[1]']],
      hasNot: [
        {
          channels,
          routes: [
            { ...route, otherwise: 'chat' },
            { name: 'b', channels: ['mail', 'chat'] },
          ],
        },
      ],
    },
    {
      rule: 'channel-unreachable',
      has: { channels: [mail, { name: 'chat', kind: 'slack', address: '#alarms' }] },
      at: [['channels[1]']],
      hasNot: [{ channels }],
    },
    {
      rule: 'escalation-without-wait',
      has: { contacts, escalations: [{ ...onCall, steps: [{ call: 'ann' }, { call: 'bob' }] }] },
      at: [['escalations[0].steps[1]']],
      hasNot: [{ contacts, escalations: [onCall] }],
    },
    {
      rule: 'escalation-unused',
      has: { contacts, channels, escalations: [onCall], routes: [route] },
      at: [['escalations[0]']],
      hasNot: [{ contacts, channels, escalations: [onCall], routes: [{ ...route, escalation: 'on-call' }] }],
    },
  ]);
});
