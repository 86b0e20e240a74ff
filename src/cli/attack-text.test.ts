import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type AttackResult, type AttackTestResult, isDangerous, knownAttacks } from '../prove/index.ts';
import { attackTestText } from './attack-text.ts';
import { plainPaint } from './output/paint.ts';

const verdictOf = (results: readonly AttackResult[], rest: Omit<AttackTestResult, 'places' | 'played'>): string => {
  const whole = { places: [{ place: 'primary', results }], played: [], ...rest };
  const lines = attackTestText(whole, knownAttacks, isDangerous, plainPaint);
  return lines.slice(lines.lastIndexOf('') + 1).join('\n');
};

it('the last words of an attack test tell what is safe from what is open, and from what could not be found out', () => {
  const denied = { id: 'delete', outcome: 'denied', sentence: null } as const;
  const unknown = { id: 'overwrite', outcome: 'not-known', sentence: 'The server was silent.' } as const;
  const open = { id: 'delete-many', outcome: 'succeeded', sentence: null } as const;
  const [safe, bad] = [/^Nothing succeeded/, 'Whoever has these credentials can take backups away.'];
  assert.match(verdictOf([denied], { inDoubt: 0, isSafe: true }), safe);
  assert.equal(verdictOf([denied, open], { inDoubt: 0, isSafe: false }), bad);
  const doubt = 'it could not be found out about 1 whether a backup can be lost by them: run it again.';
  assert.equal(verdictOf([denied, unknown], { inDoubt: 1, isSafe: false }), `Of 2 attacks ${doubt}`);
  assert.equal(verdictOf([unknown, open], { inDoubt: 1, isSafe: false }), `${bad}\nOf 2 attacks ${doubt}`);
});
