import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions } from './options.ts';

describe('the options of the bench', () => {
  it('take a row by its whole name, several by what they begin with, and long ones only when they are asked for', () => {
    assert.deepEqual(rowsOf('--only', 'growth'), ['growth']);
    assert.deepEqual(rowsOf('--only', 'far', '--only', 'wal'), ['wal', 'far-backup', 'far-restore']);
    assert.ok(rowsOf().includes('full-direct'));
    assert.deepEqual(
      rowsOf().filter((name) => name.startsWith('growth')),
      [],
    );
    assert.throws(() => rowsOf('--only', 'grow'), /--only must be one of .*, found "grow"/);
  });
});

function rowsOf(...args: string[]): string[] {
  return parseOptions(args).rows.map(({ name }) => name);
}
