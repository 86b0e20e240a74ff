import assert from 'node:assert/strict';
import { it } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from './secret.ts';

it('a secret is not seen by printing, logging, joining or writing it as JSON', () => {
  const secret = new Secret('open sesame');
  const holder = { nested: { secret }, list: [secret] };
  const seen = [
    `${secret}`,
    inspect(holder, { depth: 9, showHidden: true }),
    JSON.stringify(holder),
    format('%o %s', secret, secret),
  ];
  for (const text of seen) assert.doesNotMatch(text, /sesame/);
  assert.equal(secret.reveal(), 'open sesame');
});
