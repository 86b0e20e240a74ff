import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findErrorCodes } from '../../test/support/error-codes.ts';
import { HoldfastError } from '../lib/index.ts';
import { exitCodeFor, exitCodes, exitReasonOf } from './exit-code.ts';

describe('the end of a command', () => {
  it('follows from the code of its error', () => {
    const cases = {
      PLAN_INVALID: 'usage',
      BYTES_INVALID: 'usage',
      DURATION_INVALID: 'usage',
      KEY_FILE_EXISTS: 'refused',
      INTERRUPTED: 'interrupted',
      STORE_FULL: 'failed',
    };
    for (const [code, reason] of Object.entries(cases)) {
      assert.equal(exitReasonOf(new HoldfastError(code, 'x')), reason);
    }
    assert.equal(exitReasonOf(new TypeError('a fault of the program')), 'failed');
    assert.equal(exitReasonOf(undefined), 'failed');
  });

  it('has the documented codes', () => {
    const codes = Object.fromEntries(Object.entries(exitCodes).map(([reason, { code }]) => [reason, code]));
    const documented = { done: 0, failed: 1, usage: 2, problemFound: 3, refused: 4, interrupted: 130 };
    assert.deepEqual(codes, documented);
  });

  it('never tells PostgreSQL that a file is absent unless the command said so', () => {
    for (const reason of ['done', 'failed', 'usage', 'problemFound', 'refused'] as const) {
      assert.equal(exitCodeFor('postgresql', { reason }), 126, reason);
    }
    assert.equal(exitCodeFor('postgresql', { reason: 'interrupted' }), 130);
    assert.equal(exitCodeFor('postgresql', { reason: 'done', code: 1 }), 1);
    assert.equal(exitCodeFor('postgresql', { reason: 'done', code: 0 }), 0);
    assert.equal(exitCodeFor('holdfast', { reason: 'done', code: 1 }), 0);
  });
});

it('every code that decides an exit code is made somewhere', () => {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const sources = globSync('**/*.ts', { cwd: root, exclude: (path) => path.endsWith('.test.ts') });
  const made = new Set(sources.flatMap((path) => findErrorCodes(readFileSync(root + path, 'utf8'))));
  const own = readFileSync(`${root}cli/exit-code.ts`, 'utf8');
  const decided = [...own.matchAll(/case '([A-Z_]+)'/g)].map((match) => match[1]!);
  assert.ok(decided.length > 20);
  assert.deepEqual(
    decided.filter((code) => !made.has(code)),
    [],
  );
});
