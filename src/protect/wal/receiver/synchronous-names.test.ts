import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findInSynchronousNames } from './synchronous-names.ts';

describe('synchronous_standby_names', () => {
  const cases: [setting: string, mention: 'named' | 'wildcard' | 'none'][] = [
    ['', 'none'],
    ['holdfast_main', 'named'],
    ['HoldFast_Main', 'named'],
    ['"holdfast_main"', 'named'],
    ['other, holdfast_main', 'named'],
    ['FIRST 2 (other, holdfast_main)', 'named'],
    ['any 1 ("holdfast_main","other")', 'named'],
    ['2(a,holdfast_main)', 'named'],
    ['*', 'wildcard'],
    ['"*"', 'wildcard'],
    ['ANY 1 (*)', 'wildcard'],
    ['a, *', 'wildcard'],
    ['*, holdfast_main', 'named'],
    ['holdfast_main2', 'none'],
    ['holdfast_mai', 'none'],
    ['FIRST 1 (first, any)', 'none'],
    ['"a ""quoted"" name"', 'none'],
  ];
  for (const [setting, mention] of cases) {
    it(`"${setting}" mentions holdfast_main: ${mention}`, () => {
      assert.equal(findInSynchronousNames(setting, 'holdfast_main'), mention);
    });
  }

  it('finds a name with quotes inside', () => {
    assert.equal(findInSynchronousNames('"a ""b"""', 'a "b"'), 'named');
  });
});
