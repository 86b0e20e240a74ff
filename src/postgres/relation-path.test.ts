import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseRelationPath } from './relation-path.ts';

it('the path of a data file tells tablespace, database, relation, fork and segment', () => {
  const cases = [
    ['base/5/16384', [1663, 5, 16384, 'main', 0]],
    ['base/5/16384.12', [1663, 5, 16384, 'main', 12]],
    ['base/5/16384_vm', [1663, 5, 16384, 'vm', 0]],
    ['base/5/16384_fsm.1', [1663, 5, 16384, 'fsm', 1]],
    ['base/5/16384_init', [1663, 5, 16384, 'init', 0]],
    ['global/1262', [1664, 0, 1262, 'main', 0]],
    ['pg_tblspc/16400/PG_18_202506291/5/16401.2', [16400, 5, 16401, 'main', 2]],
  ] as const;
  for (const [path, [tablespace, database, relation, fork, segment]] of cases) {
    assert.deepEqual(parseRelationPath(path), { tablespace, database, relation, fork, segment }, path);
  }
});

it('other paths are none of a relation', () => {
  const others = [
    ...['global/pg_control', 'global/pg_filenode.map', 'base/5/PG_VERSION', 'base/5/t3_16384', 'base/5/16384_tmp'],
    ...['pg_xact/0000', 'PG_VERSION', 'base/16384', 'base/5/INCREMENTAL.16384', 'x/base/5/16384', 'base/5/16384.'],
  ];
  for (const path of others) assert.equal(parseRelationPath(path), null, path);
});
