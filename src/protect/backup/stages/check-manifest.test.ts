import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EntryTable } from '../entry-table.ts';
import { ManifestCheck } from './check-manifest.ts';

/** As the server has it; the checksum is a CRC-32C. */
interface Listed {
  path: string;
  size: number;
  checksum: string;
}

/** What the manifest names, and under which path the backup has it. */
const names: readonly (readonly [listed: string, received: string])[] = [
  ['backup_label', 'data/backup_label'],
  ['base/5/1', 'data/base/5/1'],
  ['base/5/10', 'data/base/5/10'],
  ['base/5/2_fsm', 'data/base/5/2_fsm'],
  ['pg_tblspc/777/PG_18_1/5/3', 'space/777/PG_18_1/5/3'],
  ['global/ü', 'data/global/ü'],
  ['global/pg_control', 'data/global/pg_control'],
];

function listed(number: number): Listed {
  return { path: names[number]![0], size: number * 10, checksum: `0${number}000000` };
}

function manifestOf(files: readonly Listed[]): Buffer {
  const lines = files.map(
    ({ path, size, checksum }) =>
      `{ "Path": ${JSON.stringify(path)}, "Size": ${size}, "Checksum-Algorithm": "CRC32C", "Checksum": "${checksum}" }`,
  );
  const body = `{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n${lines.join(',\n')}\n],\n"WAL-Ranges": [\n],\n`;
  return Buffer.from(`${body}"Manifest-Checksum": "${createHash('sha256').update(body).digest('hex')}"}\n`);
}

/** All files of `names` in the order of the server, with what is never listed between them. */
function received(numbers: readonly number[] = [...names.keys()]): EntryTable {
  const table = new EntryTable();
  table.addOther({ type: 'directory', path: 'data', mode: 0o700, mtimeMs: 0 });
  for (const number of numbers) {
    add(table, names[number]![1], number);
    table.addOther({ type: 'directory', path: `data/after-${number}`, mode: 0o700, mtimeMs: 0 });
    add(table, `data/pg_wal/archive_status/${number}.done`, 99);
  }
  return table;
}

function add(table: EntryTable, path: string, number: number): void {
  const row = table.addFile({ path, mode: 0o600, mtimeMs: 0 });
  table.setReceived(row, { size: number * 10, crc32c: number });
}

function check(table: EntryTable, manifest: Buffer): void {
  const held = new ManifestCheck(table);
  add(table, 'meta/backup_manifest', 7);
  held.push(manifest);
  add(table, 'config/settings.json', 8);
  held.finish();
}

const all = [...names.keys()];
const mismatch = (detail: RegExp) => ({ code: 'BACKUP_MANIFEST_MISMATCH', detail });

describe('received files against the manifest', () => {
  it('are right when all are listed as they came, in whatever order', () => {
    check(received(), manifestOf(all.map(listed)));
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (order) =>
        check(received(), manifestOf(order.map(listed))),
      ),
    );
  });

  it('are wrong when any one of them is missing, not listed, of another size or of another checksum', () => {
    for (const number of all) {
      const others = all.filter((other) => other !== number);
      const name = names[number]![0];
      const changed = (change: Partial<Listed>) =>
        manifestOf(all.map((each) => (each === number ? { ...listed(each), ...change } : listed(each))));
      assert.throws(
        () => check(received(others), manifestOf(all.map(listed))),
        mismatch(/is listed but was not received/),
      );
      assert.throws(
        () => check(received(), manifestOf(others.map(listed))),
        mismatch(/was received but is not listed/),
      );
      assert.throws(() => check(received(), changed({ size: 5 })), mismatch(RegExp(`"${name}" has 5 bytes`)));
      assert.throws(() => check(received(), changed({ checksum: 'ffffffff' })), mismatch(/another checksum/));
      assert.throws(() => check(received(), changed({ path: `${name}x` })), mismatch(/not received; .*not listed/));
    }
  });

  it('are not told apart from a directory of the same name by mistake', () => {
    const extra = { path: 'after-1', size: 0, checksum: '00000000' };
    assert.throws(() => check(received(), manifestOf([...all.map(listed), extra])), mismatch(/"after-1" is listed/));
  });

  it('names the first of many that differ and counts the rest', () => {
    const many = Array.from({ length: 1000 }, (_, i) => ({ path: `base/5/x${i}`, size: 0, checksum: '00000000' }));
    assert.throws(
      () => check(received(), manifestOf([...all.map(listed), ...many])),
      mismatch(/"base\/5\/x4" is listed but was not received; and 995 more/),
    );
  });
});
