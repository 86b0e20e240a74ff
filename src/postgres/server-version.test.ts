import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkServerVersion, parseServerVersion } from './server-version.ts';

describe('server version', () => {
  it('is read from the parameter and from the line of the program', () => {
    const table: [string, number, number][] = [
      ['18.4', 18, 4],
      ['15.18 (Debian 15.18-0+deb12u1)', 15, 18],
      ['19devel', 19, 0],
      ['17beta2', 17, 0],
      ['postgres (PostgreSQL) 14.23\n', 14, 23],
    ];
    for (const [text, major, minor] of table) {
      const version = parseServerVersion(text);
      assert.deepEqual([version.major, version.minor], [major, minor], text);
    }
    assert.throws(() => parseServerVersion('unknown'), { code: 'PG_VERSION_INVALID' });
  });

  it('is accepted from 14 to 18', () => {
    for (const major of [14, 15, 16, 17, 18]) checkServerVersion(parseServerVersion(`${major}.1`));
    for (const major of [9, 13, 19]) {
      assert.throws(() => checkServerVersion(parseServerVersion(`${major}.1`)), { code: 'PG_VERSION_UNSUPPORTED' });
    }
  });
});
