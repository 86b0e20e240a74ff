import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseSize } from './setting-size.ts';

it('reads sizes as PostgreSQL shows them', () => {
  assert.equal(parseSize('16MB'), 16 * 1024 * 1024);
  assert.equal(parseSize('1GB'), 1024 * 1024 * 1024);
  assert.equal(parseSize('8192B'), 8192);
  for (const text of ['', '16', 'MB', '16 MB', '-1MB', '1XB'])
    assert.throws(() => parseSize(text), { code: 'PG_SETTING_INVALID' });
});
