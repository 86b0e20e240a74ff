import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatLsn, parseLsn } from './lsn.ts';

describe('LSN', () => {
  it('is read and written as PostgreSQL prints it', () => {
    const table: [string, bigint][] = [
      ['0/0', 0n],
      ['0/1', 1n],
      ['16/B374D848', 0x16b374d848n],
      ['FFFFFFFF/FFFFFFFF', 0xffffffffffffffffn],
      ['1/0', 0x100000000n],
    ];
    for (const [text, lsn] of table) {
      assert.equal(parseLsn(text), lsn);
      assert.equal(formatLsn(lsn), text);
    }
  });

  it('is the same after writing and reading', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }), (lsn) => parseLsn(formatLsn(lsn)) === lsn));
  });

  it('accepts lower case and leading zeros', () => {
    assert.equal(parseLsn('0000000a/00000b0c'), 0xa00000b0cn);
  });

  it('refuses any other text by name', () => {
    for (const text of [
      '',
      '/',
      '1/',
      '/1',
      '1',
      '1/2/3',
      'G/1',
      '123456789/0',
      '1/123456789',
      ' 1/2',
      '1/2\n',
      '-1/2',
    ]) {
      assert.throws(() => parseLsn(text), { code: 'PG_LSN_INVALID' }, JSON.stringify(text));
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseLsn(text);
        } catch (error) {
          assert.equal((error as { code: string }).code, 'PG_LSN_INVALID');
        }
      }),
    );
  });

  it('refuses to write a number outside of 64 bits', () => {
    assert.throws(() => formatLsn(-1n), { code: 'PG_LSN_INVALID' });
    assert.throws(() => formatLsn(1n << 64n), { code: 'PG_LSN_INVALID' });
  });
});
