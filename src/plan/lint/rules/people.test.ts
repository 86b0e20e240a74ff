import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { peopleRules } from './people.ts';

const contacts = [
  { name: 'ann', phone: '+1 202 555 0101' },
  { name: 'bob', email: { env: 'MAIL_OF_BOB' } },
];
const lead = { name: 'lead', contact: 'ann', deputy: 'bob' };
const roles = [lead];
const functions = [
  { name: 'slow', rto: '1h' },
  { name: 'pay', rto: '15m' },
];
const message = {
  ...{ name: 'disruption', on: 'outage-begun', audience: 'customers', within: '30m' },
  ...{ contacts: ['ann'], role: 'lead' },
};
const people = { contacts, roles, functions };
const { within: _, ...timeless } = message;
const { role: __, ...nobodys } = message;
const vendor = { name: 'hosting', service: 'Servers', contact: 'support@hosting.example', account: 'shop' };

describe('who does what, and who is told', () => {
  testRules(peopleRules, [
    {
      rule: 'C12',
      has: { ...people, communication: [message, { ...message, name: 'b', on: 'detected', within: '16m' }] },
      at: [
        ['communication[0].within', 'functions[1].rto'],
        ['communication[1].within', 'functions[1].rto'],
      ],
      hasNot: [
        {
          ...people,
          communication: [
            { ...message, within: '15m' },
            { ...message, name: 'b', on: 'restored' },
          ],
        },
        { ...people, communication: [{ ...message, ifResolvedEarlier: 'tell-at-resolution' }] },
        { ...people, communication: [{ ...message, ifOutFor: '4h' }] },
      ],
    },
    {
      rule: 'message-without-channel',
      has: {
        ...people,
        communication: [
          { ...message, contacts: [] },
          { ...timeless, name: 'b', every: '1h', contacts: [] },
        ],
      },
      at: [['communication[0]'], ['communication[1]']],
      hasNot: [{ ...people, communication: [message, { ...timeless, name: 'b', contacts: [] }] }],
    },
    {
      rule: 'message-without-deadline',
      has: { ...people, communication: [timeless] },
      at: [['communication[0]']],
      hasNot: [{ ...people, communication: [message, { ...timeless, name: 'b', every: '1h' }] }],
    },
    {
      rule: 'message-without-role',
      has: { ...people, communication: [nobodys] },
      at: [['communication[0]']],
      hasNot: [{ ...people, communication: [message] }],
    },
    {
      rule: 'role-without-contact',
      has: { contacts, roles: [lead, { name: 'scribe', deputy: 'ann' }] },
      at: [['roles[1]']],
      hasNot: [{ contacts, roles }],
    },
    {
      rule: 'role-without-deputy',
      has: {
        contacts,
        roles: [
          { name: 'scribe', contact: 'ann' },
          { ...lead, deputy: 'ann' },
        ],
      },
      at: [['roles[0]'], ['roles[1]']],
      hasNot: [{ contacts, roles }],
    },
    {
      rule: 'contact-unreachable',
      has: { contacts: [...contacts, { name: 'eve', title: 'Eve' }] },
      at: [['contacts[2]']],
      hasNot: [{ contacts }],
    },
    {
      rule: 'vendor-unreachable',
      has: { vendors: [vendor, { name: 'dns', service: 'Names' }] },
      at: [['vendors[1]']],
      hasNot: [{ vendors: [vendor] }],
    },
    {
      rule: 'vendor-without-account',
      has: { vendors: [vendor, { name: 'dns', service: 'Names' }] },
      at: [['vendors[1]']],
      hasNot: [{ vendors: [vendor] }],
    },
    {
      rule: 'checklist-without-role',
      has: { contacts, roles, checklists: [{ name: 'daily', every: 'day', items: [{ name: 'a', does: 'Look.' }] }] },
      at: [['checklists[0]']],
      hasNot: [
        {
          contacts,
          roles,
          checklists: [{ name: 'daily', every: 'day', items: [{ name: 'a', does: 'Look.', role: 'lead' }] }],
        },
      ],
    },
  ]);
});
