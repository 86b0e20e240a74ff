import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isEmptied, isLeftOut, isVolatileRelation, unloggedRelationOf } from './exclusions.ts';

describe('what is left out of a direct read', () => {
  it('are files that the server makes anew, by their whole name or by its beginning', () => {
    for (const name of [
      'postmaster.pid',
      'backup_label',
      'pg_internal.init',
      'pg_internal.init.77',
      'pgsql_tmp4711.0',
    ]) {
      assert.ok(isLeftOut(name), name);
    }
    for (const name of ['backup_label.old', 'postmaster.pid2', 'my_pgsql_tmp', 'PG_VERSION', '16384']) {
      assert.ok(!isLeftOut(name), name);
    }
    assert.ok(isEmptied('pg_replslot') && !isEmptied('pg_wal') && !isEmptied('pg_xact'));
  });

  it('are temporary relations, and unlogged ones but for their init forks', () => {
    const names = ['16384', '16384_init', '16390_fsm', '16391_init.1', '16392'];
    const unlogged = new Set(names.flatMap((name) => unloggedRelationOf(name) ?? []));
    assert.deepEqual([...unlogged], ['16384']);
    for (const name of ['t3_16400', 't12_16400_vm.2', '16384', '16384.1', '16384_fsm', '16384_vm.1']) {
      assert.ok(isVolatileRelation(name, unlogged), name);
    }
    for (const name of ['16384_init', '16392', '16390_fsm', 'pg_filenode.map', '16384x', 't3_1x']) {
      assert.ok(!isVolatileRelation(name, unlogged), name);
    }
  });
});
