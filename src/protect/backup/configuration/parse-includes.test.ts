import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { listInclusions } from './parse-includes.ts';

const paths = (kind: 'settings' | 'hba' | 'ident' | 'names', text: string) =>
  listInclusions(kind, text).map(({ path, isDirectory, isRequired }) => [path, isDirectory, isRequired]);

describe('inclusions in files of settings', () => {
  it('are found with and without an equals sign, in any case and with quotes in the path', () => {
    const text = `
      include 'a.conf'
      Include_If_Exists = 'it''s.conf'   # perhaps
      include_dir 'conf.d'
      include bare.conf
      include'close.conf'`;
    assert.deepEqual(paths('settings', text), [
      ['a.conf', false, true],
      ["it's.conf", false, false],
      ['conf.d', true, true],
      ['bare.conf', false, true],
      ['close.conf', false, true],
    ]);
  });

  it('are neither comments, nor other settings, nor empty', () => {
    assert.deepEqual(
      paths('settings', "#include 'a'\n include_dir = ''\nincluded = 'a'\nport = 1 # include 'b'\nx = '@y'"),
      [],
    );
  });
});

describe('inclusions in pg_hba.conf and pg_ident.conf', () => {
  it('are whole files, and lists of names in any field', () => {
    const text =
      'include "more hba.conf"\nhost @databases alice,@users,"@odd" all scram-sha-256 # @not\nlocal all "+x" peer';
    assert.deepEqual(paths('hba', text), [
      ['more hba.conf', false, true],
      ['databases', false, true],
      ['users', false, true],
    ]);
  });

  it('go on over the end of a line behind a backslash', () => {
    assert.deepEqual(paths('hba', 'host all \\\n @users all trust'), [['users', false, true]]);
  });

  it('may stand in a list of names, where nothing else is a directive', () => {
    assert.deepEqual(paths('names', 'include\n@"further names"\nbob'), [['further names', false, true]]);
  });
});
