import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress } from '../../lib/index.ts';
import { syncTarget } from './sync-target.ts';

it('a file that could not be synced is not left to be found equal by whoever goes on, and all are tried before the restore fails', async (test) => {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-sync-'));
  test.after(() => rm(path, { recursive: true, force: true }));
  await mkdir(join(path, 'base'));
  const files = Array.from({ length: 40 }, (_, number) => `base/${number}`);
  for (const file of files) await writeFile(join(path, file), file);
  let calls = 0;
  const failing = async () => {
    calls += 1;
    if (calls % 4 === 0) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
  };
  const written = { files, directories: ['base'] };
  await assert.rejects(syncTarget({ path }, written, silentProgress, failing), { code: 'EIO' });
  assert.equal(calls, files.length);
  assert.equal(readdirSync(join(path, 'base')).length, 30);
  const left = files.filter((file) => existsSync(join(path, file)));
  await syncTarget({ path }, { ...written, files: left }, silentProgress);
});
