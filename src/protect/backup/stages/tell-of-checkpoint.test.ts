import assert from 'node:assert/strict';
import { it } from 'node:test';
import { describeSpreading } from './tell-of-checkpoint.ts';

it('how long a checkpoint may take is told from what the server shows', () => {
  const cases = { '5min': 'up to 4 min 30 s', '30s': 'up to 27.0 s', '1h': 'up to 54 min', '1d': 'up to 21 h 36 min' };
  for (const [timeout, words] of Object.entries(cases)) {
    assert.equal(/over (.*?),/.exec(describeSpreading(timeout, '0.9'))?.[1], words);
  }
});

it('what the server shows in no known form is left open', () => {
  for (const shown of ['off', '', '300']) assert.match(describeSpreading(shown, '0.9'), /over minutes,/);
  assert.match(describeSpreading('5min', 'off'), /over minutes,/);
});
