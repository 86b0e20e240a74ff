import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeScratchDirectory } from '../../../../test/support/scratch.ts';
import { type ListedEntry, listFiles, listTablespaces } from './list-files.ts';

const VERSION = 'PG_18_202506291';

async function collect(listing: AsyncIterable<ListedEntry>): Promise<ListedEntry[]> {
  const entries: ListedEntry[] = [];
  for await (const entry of listing) entries.push(entry);
  return entries;
}

describe('listing a data directory', () => {
  let scratch: string;
  let data: string;
  before(async () => {
    scratch = await makeScratchDirectory('list-files');
    data = join(scratch, 'data');
    const make = (path: string) => {
      mkdirSync(dirname(join(data, path)), { recursive: true });
      writeFileSync(join(data, path), path);
    };
    for (const path of [
      ...['PG_VERSION', 'postgresql.conf', 'postmaster.pid', 'backup_label', 'backup_label.old', 'tablespace_map'],
      ...['global/pg_control', 'global/1262', 'global/pg_internal.init', 'global/t1_1262'],
      ...['base/5/16384', 'base/5/16384.1', 'base/5/16384_vm', 'base/5/t3_16400', 'base/5/t3_16400_fsm'],
      ...['base/5/16500', 'base/5/16500_init', 'base/5/16500.1', 'base/5/PG_VERSION', 'base/5/pg_internal.init.12'],
      ...['base/pgsql_tmp/pgsql_tmp12.0', 'base/5/pgsql_tmp9', 'mine/t3_16400', 'mine/16500', 'mine/16500_init'],
      ...['pg_wal/000000010000000000000001', 'pg_wal/archive_status/x.done', 'pg_replslot/s/state'],
      ...['pg_subtrans/0000', 'pg_xact/0000', 'mine/pg_notify/0000', `inside/${VERSION}/5/16600`, 'inside/other'],
    ]) {
      make(path);
    }
    const outside = join(scratch, 'outside');
    mkdirSync(join(outside, VERSION, '5'), { recursive: true });
    for (const name of ['16700', 't4_16701']) writeFileSync(join(outside, VERSION, '5', name), name);
    mkdirSync(join(outside, 'PG_17_202406281'));
    mkdirSync(join(data, 'pg_tblspc'));
    symlinkSync(outside, join(data, 'pg_tblspc', '16390'));
    symlinkSync(join(data, 'inside'), join(data, 'pg_tblspc', '16391'));
    symlinkSync(scratch, join(data, 'link'));
    mkdirSync(join(scratch, 'stat'));
    symlinkSync(join(scratch, 'stat'), join(data, 'pg_stat_tmp'));
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  async function list(): Promise<ListedEntry[]> {
    const tablespaces = await listTablespaces(data);
    return collect(listFiles({ root: '', dataDirectory: data, tablespaces, versionDirectory: VERSION }));
  }
  const pathsOf = (entries: ListedEntry[], kind: string) =>
    entries.flatMap((entry) => (entry.kind === kind ? [entry.path] : [])).sort();

  it('has the files that the server would send, and pg_control not yet', async () => {
    assert.deepEqual(
      pathsOf(await list(), 'file'),
      [
        ...[
          'data/PG_VERSION',
          'data/postgresql.conf',
          'data/backup_label.old',
          'data/global/1262',
          'data/global/t1_1262',
        ],
        ...['data/base/5/16384', 'data/base/5/16384.1', 'data/base/5/16384_vm', 'data/base/5/16500_init'],
        ...[
          'data/base/5/PG_VERSION',
          'data/mine/t3_16400',
          'data/mine/16500',
          'data/mine/16500_init',
          'data/pg_xact/0000',
        ],
        ...[`space/16390/${VERSION}/5/16700`, `space/16391/${VERSION}/5/16600`],
      ].sort(),
    );
  });

  it('has directories that the server empties or fills itself, and none behind a link', async () => {
    const entries = await list();
    const directories = pathsOf(entries, 'directory');
    for (const path of ['data', 'data/pg_wal', 'data/pg_wal/archive_status', 'data/pg_replslot', 'data/pg_tblspc']) {
      assert.ok(directories.includes(path), path);
    }
    for (const path of ['data/pg_stat_tmp', 'data/mine/pg_notify', 'data/inside', `space/16390/${VERSION}/5`]) {
      assert.ok(directories.includes(path), path);
    }
    for (const path of ['data/pg_replslot/s', 'data/pg_wal/summaries', 'data/base/pgsql_tmp', 'data/link']) {
      assert.ok(!directories.includes(path), path);
    }
    assert.deepEqual(pathsOf(entries, 'other'), ['data/link']);
    const order = entries.map(({ path }) => path);
    assert.ok(order.every((path) => !path.includes('/') || order.indexOf(dirname(path)) < order.indexOf(path)));
  });

  it('finds nothing wrong with a directory that vanished, and all with one that cannot be read', async () => {
    const options = { tablespaces: [{ oid: 9, location: join(scratch, 'gone') }], versionDirectory: VERSION };
    const listed = await collect(listFiles({ root: '', dataDirectory: join(scratch, 'nowhere'), ...options }));
    assert.deepEqual(
      listed.map(({ path }) => path),
      ['space/9', 'data'],
    );
    const file = join(data, 'PG_VERSION');
    await assert.rejects(collect(listFiles({ root: '', dataDirectory: file, ...options })), {
      code: 'BACKUP_DIRECT_READ_FAILED',
      detail: /ENOTDIR/,
    });
  });

  it('refuses a name that is no text rather than taking it for a file that vanished', async () => {
    const odd = Buffer.concat([Buffer.from(join(data, 'mine', 'x')), Buffer.from([0xff])]);
    writeFileSync(odd, '');
    await assert.rejects(list(), { code: 'BACKUP_DIRECT_READ_FAILED', detail: /not valid UTF-8/ });
    rmSync(odd);
  });
});
