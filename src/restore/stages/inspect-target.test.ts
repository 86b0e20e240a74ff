import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { MARKER_NAME, type RestoreMarker, writeMarker } from '../restore-marker.ts';
import { inspectTarget } from './inspect-target.ts';

const repository = 'ab'.repeat(16);

const unfinished: RestoreMarker = {
  version: 1,
  state: 'restoring',
  manner: 'new',
  tablespaces: [],
  repository,
  snapshot: 'cd'.repeat(32),
  startedAt: '2026-11-23T09:00:00.000Z',
  topLevel: ['base', 'global'],
  target: { reachedLsn: '0/3000028', recordLsn: '0/3000000', inclusive: true, timeline: 1 },
};

/** A directory in which a restore was broken off. */
async function brokenOff(test: TestContext, marker: Partial<RestoreMarker> = {}): Promise<string> {
  const path = join(await scratchFor(test, 'target'), 'restored');
  await mkdir(join(path, 'global'), { recursive: true });
  await mkdir(join(path, 'base'));
  await writeMarker(path, { ...unfinished, ...marker });
  return path;
}

describe('the place of a restore', () => {
  it('may be missing or empty', async (test) => {
    const scratch = await scratchFor(test, 'target');
    const missing = await inspectTarget(join(scratch, 'new'), repository);
    assert.equal(missing.state, 'missing');
    assert.ok(missing.freeBytes > 0);
    assert.equal((await inspectTarget(scratch, repository)).state, 'empty');
  });

  it('is as good as empty when a restore was broken off while it wrote its marker', async (test) => {
    const scratch = await scratchFor(test, 'target');
    await writeFile(join(scratch, `${MARKER_NAME}.unfinished`), '{"ver');
    assert.equal((await inspectTarget(scratch, repository)).state, 'empty');
    await writeFile(join(scratch, 'thesis.tex'), '');
    await assert.rejects(inspectTarget(scratch, repository), { code: 'RESTORE_TARGET_NOT_EMPTY' });
  });

  it('may hold a restore of ours that was broken off before it could be started', async (test) => {
    const place = await inspectTarget(await brokenOff(test), repository);
    assert.equal(place.state, 'unfinished');
    assert.deepEqual(place.marker, unfinished);
  });

  it('is refused when it holds anything else', async (test) => {
    const scratch = await scratchFor(test, 'target');
    const full = join(scratch, 'full');
    await mkdir(full);
    for (let i = 0; i < 9; i++) await writeFile(join(full, `file-${i}`), '');
    await assert.rejects(inspectTarget(full, repository), {
      code: 'RESTORE_TARGET_NOT_EMPTY',
      detail: 'Expected an empty directory or none, found "file-0", "file-1", "file-2", "file-3", "file-4" and 4 more.',
    });
    await symlink(full, join(scratch, 'link'));
    await assert.rejects(inspectTarget(join(scratch, 'link'), repository), { code: 'RESTORE_TARGET_NOT_EMPTY' });
  });

  it('is refused when it is a file, or its parent is missing', async (test) => {
    const scratch = await scratchFor(test, 'target');
    await writeFile(join(scratch, 'file'), '');
    for (const path of ['file', 'file/below', 'nowhere/below']) {
      await assert.rejects(inspectTarget(join(scratch, path), repository), { code: 'RESTORE_TARGET_UNUSABLE' }, path);
    }
  });

  it('is refused when a server runs in it, and when one did', async (test) => {
    const scratch = await scratchFor(test, 'target');
    await writeFile(join(scratch, 'postmaster.pid'), `${process.pid}\n${scratch}\n`);
    await assert.rejects(inspectTarget(scratch, repository), {
      code: 'RESTORE_TARGET_RUNNING',
      detail: `Its postmaster.pid names process ${process.pid}, which is alive.`,
    });
    await writeFile(join(scratch, 'postmaster.pid'), 'rubbish\n');
    await assert.rejects(inspectTarget(scratch, repository), { code: 'RESTORE_TARGET_NOT_EMPTY' });
  });

  it('is refused when a restore of ours is complete, failed, of another repository, or has company', async (test) => {
    const refusal = async (path: string, message: RegExp) =>
      assert.rejects(inspectTarget(path, repository), { code: 'RESTORE_TARGET_NOT_EMPTY', message });
    await refusal(await brokenOff(test, { state: 'ready' }), /it holds a restored cluster$/);
    await refusal(
      await brokenOff(test, { state: 'failed', reason: 'no WAL' }),
      /it holds a restored cluster that failed: no WAL$/,
    );
    await refusal(await brokenOff(test, { repository: '00'.repeat(16) }), /another restore was broken off there$/);

    const startable = await brokenOff(test);
    await writeFile(join(startable, 'global', 'pg_control'), '');
    await refusal(startable, /it holds a restored cluster$/);

    const withGuest = await brokenOff(test);
    await writeFile(join(withGuest, 'guest'), '');
    await refusal(withGuest, /it is not empty$/);
  });

  it('is refused when the marker is not one that we write, or names what lies elsewhere', async (test) => {
    for (const content of ['', '{}', JSON.stringify({ ...unfinished, topLevel: ['../precious'] })]) {
      const path = await brokenOff(test);
      await writeFile(join(path, MARKER_NAME), content);
      await assert.rejects(inspectTarget(path, repository), { code: 'RESTORE_MARKER_UNREADABLE' }, content);
    }
  });
});
