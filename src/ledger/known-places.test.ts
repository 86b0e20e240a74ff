import assert from 'node:assert/strict';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeScratchDirectory } from '../../test/support/scratch.ts';
import { codeOf } from '../lib/index.ts';
import { KnownPlaces } from './known-places.ts';

const [one, other] = ['1'.repeat(32), '2'.repeat(32)];

async function makePlaces(test: { after(release: () => Promise<void>): void }) {
  const directory = await makeScratchDirectory('known-places');
  test.after(() => rm(directory, { recursive: true, force: true }));
  return { directory, places: new KnownPlaces(join(directory, 'state')) };
}

test('what was found first at an address is remembered, and only who says so replaces it', async (context) => {
  const { places } = await makePlaces(context);
  const location = 's3://bucket/prefix?region=eu-west-1';
  assert.equal(await places.read(location), null);
  assert.equal(await places.remember(location, one), one);
  assert.equal(await places.remember(location, other), one);
  assert.equal(await places.read('s3://bucket/other?region=eu-west-1'), null);
  await places.replace(location, other);
  assert.equal(await places.read(location), other);
});

test('processes that come first at the same time agree on one repository', async (context) => {
  const { directory } = await makePlaces(context);
  const ids = Array.from({ length: 20 }, (_, i) => i.toString(16).padStart(32, '0'));
  const answers = await Promise.all(ids.map((id) => new KnownPlaces(join(directory, 'state')).remember('/disk', id)));
  assert.equal(new Set(answers).size, 1);
  assert.equal((await readdir(join(directory, 'state', 'places'))).length, 1);
});

test('a directory is one address by whichever name, and what was left by a crash is no id', async (context) => {
  const { directory, places } = await makePlaces(context);
  const [disk, link] = [join(directory, 'disk'), join(directory, 'link')];
  await mkdir(disk);
  await symlink(disk, link);
  await places.remember(disk, one);
  assert.equal(await places.read(link), one);
  const [file] = await readdir(join(directory, 'state', 'places'));
  await writeFile(join(directory, 'state', 'places', `${file}.0a0b0c.tmp`), 'half');
  assert.equal(await places.read(disk), one);
  await writeFile(join(directory, 'state', 'places', file!), 'half');
  await assert.rejects(places.read(disk), (error) => codeOf(error) === 'STATE_UNREADABLE');
});
