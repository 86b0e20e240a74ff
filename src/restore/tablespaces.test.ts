import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseTablespaceMapping, placeTablespaces } from './tablespaces.ts';

const stored = [
  { oid: 16385, path: '/fast', name: 'quick' },
  { oid: 16386, path: '/slow/disk' },
  { oid: 16387, path: 'pg_tblspc/16387' },
];
const pathsOf = (placed: readonly { path: string | null }[]) => placed.map(({ path }) => path);

describe('places of tablespaces', () => {
  it('are beside the directory unless named, by OID, name or old path; one inside stays inside', () => {
    assert.deepEqual(pathsOf(placeTablespaces(stored, { mappings: [] }, '/new')), [
      '/new.tablespaces/16385',
      '/new.tablespaces/16386',
      null,
    ]);
    const mappings = [
      { which: 'quick', path: '/a' },
      { which: '/slow/disk/', path: '/b' },
    ];
    assert.deepEqual(pathsOf(placeTablespaces(stored, { mappings }, '/new')), ['/a', '/b', null]);
    const one = [{ which: '16386', path: '/b' }];
    assert.deepEqual(pathsOf(placeTablespaces(stored, { mappings: one, into: '/all' }, '/new')), [
      '/all/16385',
      '/b',
      null,
    ]);
  });

  it('are refused when they are nobody’s, twice one’s, inside, or in each other', () => {
    const refused = (...mappings: { which: string; path: string }[]) =>
      assert.throws(() => placeTablespaces(stored, { mappings }, '/new'), { code: 'RESTORE_TABLESPACE_INVALID' });
    refused({ which: '1', path: '/a' });
    refused({ which: 'quick', path: '/a' }, { which: '16385', path: '/b' });
    refused({ which: '16387', path: '/a' });
    refused({ which: 'quick', path: '/new/in' });
    refused({ which: 'quick', path: '/' });
    refused({ which: 'quick', path: '/a' }, { which: '16386', path: '/a/b' });
    assert.doesNotThrow(() => placeTablespaces(stored, { mappings: [{ which: 'quick', path: '/newer' }] }, '/new'));
  });

  it('are typed with an equals sign', () => {
    assert.deepEqual(parseTablespaceMapping('16385=/a=b'), { which: '16385', path: '/a=b' });
    for (const text of ['16385', '=/a', '16385=']) {
      assert.throws(() => parseTablespaceMapping(text), { code: 'RESTORE_TABLESPACE_INVALID' });
    }
  });
});
