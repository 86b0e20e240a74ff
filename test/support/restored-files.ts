import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What a restore is for: the cluster's own files by their paths, without the settings and notes that name the restore itself. */
export function readRestoredFiles(directory: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    const isOwn = path.startsWith('holdfast') || path === 'postgresql.auto.conf' || path.startsWith('recovery.');
    if (!isOwn && statSync(join(directory, path)).isFile()) files.set(path, readFileSync(join(directory, path)));
  }
  return files;
}

/** Fails with the path of the first file that is missing, new or otherwise. */
export function assertSameFiles(found: Map<string, Buffer>, expected: Map<string, Buffer>, where = ''): void {
  assert.deepEqual([...found.keys()], [...expected.keys()], where);
  for (const [path, bytes] of found)
    assert.ok(bytes.equals(expected.get(path)!), `${path} is as it should be ${where}`);
}
