import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findErrorCodes } from './support/error-codes.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

function readUsedCodes(): string[] {
  const paths = globSync('src/**/*.ts', { cwd: root }).filter((path) => !path.endsWith('.test.ts'));
  return [...new Set(paths.flatMap((path) => findErrorCodes(readFileSync(`${root}${path}`, 'utf8'))))].sort();
}

/** One section for each code: `### CODE`, up to the next heading. */
function readSections(): { code: string; text: string }[] {
  const pieces = readFileSync(`${root}docs/errors.md`, 'utf8').split(/^(?=#{2,3} )/m);
  return pieces.flatMap((piece) => {
    const [, code, text] = /^### ([A-Z][A-Z0-9_]*)\n([\s\S]*)$/.exec(piece) ?? [];
    return code === undefined ? [] : [{ code, text: text as string }];
  });
}

describe('docs/errors.md', () => {
  it('has a section for every code that src/ uses', () => {
    const documented = new Set(readSections().map(({ code }) => code));
    const missing = readUsedCodes().filter((code) => !documented.has(code));
    assert.equal(missing.length, 0, `these codes have no section:\n${missing.join('\n')}`);
  });

  it('has no section for a code that src/ does not use, and none twice', () => {
    const used = new Set(readUsedCodes());
    const codes = readSections().map(({ code }) => code);
    const gone = codes.filter((code, place) => !used.has(code) || codes.indexOf(code) !== place);
    assert.equal(gone.length, 0, `these sections have no code, or stand twice:\n${gone.join('\n')}`);
  });

  it('says of each code what it means and what to do', () => {
    const thin = readSections().filter(
      ({ text }) => !/^\s*\*\*Meaning\.\*\* \S[\s\S]*^\*\*What to do\.\*\* \S/m.test(text),
    );
    assert.deepEqual(
      thin.map(({ code }) => code),
      [],
    );
  });
});

describe('finding error codes', () => {
  it('finds a code in every way in which an error is made', () => {
    const source = `
      throw new HoldfastError('ONE_PLACE', 'message');
      return new StoreError(
        'NEXT_LINE',
        'message',
      );
      throw new PostgresError(report, 'SECOND_PLACE', \`message\`);
      super('IN_SUPER', 'message');
      constructor(report: Report, code = 'BY_DEFAULT') {}
      throw new HoldfastError(late ? 'WHEN_LATE' : 'WHEN_EARLY', 'message');
      return wrap('BY_HELPER', place, error);`;
    assert.deepEqual(findErrorCodes(source), [
      'ONE_PLACE',
      'NEXT_LINE',
      'SECOND_PLACE',
      'IN_SUPER',
      'BY_DEFAULT',
      'WHEN_LATE',
      'WHEN_EARLY',
      'BY_HELPER',
    ]);
  });

  it('takes neither words of a message nor what a comment says', () => {
    const source = `
      // new HoldfastError('IN_COMMENT')
      throw new HoldfastError('REAL', 'set the variable "OTHER" to \\'FOREIGN\\'', { hints: ['DATABASE_URL'] });
      return query('SHOW_ALL');`;
    assert.deepEqual(findErrorCodes(source), ['REAL']);
  });
});
