import { describe } from 'node:test';
import { testRules } from '../../../../test/support/rule-cases.ts';
import { textRules } from './texts.ts';

const contact = { name: 'ann', title: 'Ann', phone: '+1 202 555 0101', email: 'ann@shop.com' };
const scenario = { name: 'failure', probability: 'low', impact: 'high', rto: '30m', rpo: '5m' };
const command = (text: string) => ({ scenarios: [{ ...scenario, steps: [{ does: 'Restore.', command: text }] }] });
const address = (text: string) => ({ channels: [{ name: 'a', kind: 'webhook', address: text }] });

/** Put together here, so that nobody who searches the code for secrets finds one. */
const secrets = [
  `https://hooks.slack.com/services/T000/B000/${'a'.repeat(24)}`,
  `https://ann:${'open'}@store.shop.com/hook`,
  `AKIA${'A'.repeat(16)}`,
  `ghp_${'a'.repeat(36)}`,
  `https://hook.shop.com/?token=${'a'.repeat(8)}`,
];

describe('what stands in texts', () => {
  testRules(textRules, [
    {
      rule: 'secret-in-the-clear',
      has: { ...address(secrets[0]!), ...command(`PGPASSWORD=${'open'} psql -h db`) },
      at: [['scenarios[0].steps[0].command'], ['channels[0].address']],
      hasNot: [
        address('https://hook.shop.com/in?room=7'),
        address('#alarms'),
        command('PGPASSWORD=$(pass show db) psql -h db'),
        command('holdfast restore --passphrase-file /etc/key'),
        ...['--password="$PGPASSWORD"', "--token='{{ token }}'", 'password = "$(pass show db)"', "password = ''"].map(
          command,
        ),
        ...['password=""; psql', 'token=`pass show db` psql'].map(command),
        { contacts: [{ ...contact, otherwise: { env: 'PAGER' } }] },
      ],
    },
    ...[`--password=${'open'}`, `--password="${'open'}"`, `password = '${'open'}'`].map((text) => ({
      rule: 'secret-in-the-clear',
      has: command(`psql ${text}`),
      at: [['scenarios[0].steps[0].command']],
      hasNot: [],
    })),
    ...secrets.map((secret) => ({
      rule: 'secret-in-the-clear',
      has: address(secret),
      at: [['channels[0].address']],
      hasNot: [],
    })),
    {
      rule: 'placeholder',
      has: {
        contacts: [contact, { ...contact, name: 'bob', title: '[Name]', phone: '[Phone]' }],
        vendors: [{ name: 'dns', service: 'DNS', contact: '[Contact Information]' }],
        probes: [{ name: 'health', url: 'https://your-domain.vercel.app/health' }],
      },
      at: [['probes[0].url'], ['contacts[1].title', 'contacts[1].phone'], ['vendors[0].contact']],
      hasNot: [
        { contacts: [contact] },
        { verification: { invariants: [{ name: 'a', query: 'SELECT x[n] FROM a' }] } },
        { application: { configuration: ['[abc]*.json'] } },
        command('holdfast restore --to <moment>'),
      ],
    },
    {
      rule: 'example-address',
      has: {
        contacts: [
          { ...contact, email: 'ann@shop.example' },
          { ...contact, name: 'bob', email: 'bob@example.com' },
        ],
      },
      at: [['contacts[0].email'], ['contacts[1].email']],
      hasNot: [{ contacts: [contact], probes: [{ name: 'a', url: 'https://shop.com/test' }] }],
    },
  ]);
});
