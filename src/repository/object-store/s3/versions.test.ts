import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { S3Version } from './connection.ts';
import { countingVersion, groupByName, isHidden, type NamedVersions, winningVersion } from './versions.ts';

const version = (name: string, number: number, more: Partial<S3Version> = {}): S3Version => ({
  ...{ name, id: `${name}-${number}`, isLatest: false, isMarker: false, size: number, modifiedAt: number },
  ...more,
});

async function* inPages(versions: readonly S3Version[], sizes: readonly number[]) {
  let at = 0;
  for (let page = 0; at < versions.length; page++) {
    const size = sizes[page % sizes.length]!;
    // A server gives the markers of a page apart from its versions.
    const entries = versions.slice(at, at + size);
    yield [...entries.filter(({ isMarker }) => !isMarker), ...entries.filter(({ isMarker }) => isMarker)];
    at += size;
  }
}

describe('versions on pages', () => {
  it('come together by name, in order, however the pages are cut', async () => {
    const names = ['a', 'a-1', 'a/b', 'b', 'wal/x/fragments/1'];
    const kept = fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), { minLength: 0, maxLength: 5 });
    const cuts = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(kept, cuts, async (ofNames, sizes) => {
      const groups: NamedVersions[] = ofNames.map((markers, i) => {
        const all = markers.map((isMarker, number) => version(names[i]!, number, { isMarker, isLatest: number === 0 }));
        return {
          name: names[i]!,
          versions: all.filter(({ isMarker }) => !isMarker),
          markers: all.filter(({ isMarker }) => isMarker),
        };
      });
      const listed = ofNames.flatMap((markers, i) =>
        markers.map((isMarker, number) => version(names[i]!, number, { isMarker, isLatest: number === 0 })),
      );
      const found: NamedVersions[] = [];
      for await (const group of groupByName(inPages(listed, sizes))) found.push(group);
      assert.deepEqual(found, groups);
    });
    await fc.assert(property);
  });
});

describe('of several versions', () => {
  const marker = (name: string) => version(name, 0, { isMarker: true, isLatest: true });

  it('the oldest counts, under a marker too', () => {
    const named = { name: 'packs/a', versions: [version('packs/a', 2), version('packs/a', 1)], markers: [] };
    assert.equal(countingVersion(named)?.id, 'packs/a-1');
    assert.equal(countingVersion({ ...named, markers: [marker('packs/a')] })?.id, 'packs/a-1');
    assert.equal(countingVersion({ ...named, versions: [], markers: [marker('packs/a')] }), null);
  });

  it('the newest counts where names are overwritten, and a marker means absent', () => {
    const name = 'volatile/leases/a';
    const named = { name, versions: [version(name, 2), version(name, 1)], markers: [] };
    assert.equal(countingVersion(named)?.id, `${name}-2`);
    assert.equal(countingVersion({ ...named, markers: [marker(name)] }), null);
    assert.equal(countingVersion({ ...named, markers: [version(name, 1, { isMarker: true })] })?.id, `${name}-2`);
  });

  it('none is hidden but a fragment under a marker that is the newest', () => {
    const hidden = (name: string, markers: S3Version[]) => isHidden({ name, versions: [version(name, 1)], markers });
    assert.equal(hidden('wal/x/y/fragments/1', [marker('wal/x/y/fragments/1')]), true);
    assert.equal(hidden('wal/x/y/fragments/1', []), false);
    assert.equal(hidden('wal/x/y/fragments/1', [version('wal/x/y/fragments/1', 1, { isMarker: true })]), false);
    assert.equal(hidden('packs/x/y/fragments/1', [marker('packs/x/y/fragments/1')]), false);
    assert.equal(hidden('wal/x/y/segments/1', [marker('wal/x/y/segments/1')]), false);
  });
});

describe('the winner of several versions that were put as the first at once', () => {
  const names = { packs: 'packs/a', volatile: 'volatile/a' };

  it('is the oldest, of whatever name, so that all who look see the same one', () => {
    for (const name of Object.values(names)) {
      const versions = [version(name, 3), version(name, 2), version(name, 1)];
      assert.equal(winningVersion({ name, versions, markers: [] })?.id, `${name}-1`);
    }
  });

  it('is the oldest since the name was free, where names are given again', () => {
    const name = names.volatile;
    const versions = [version(name, 9), version(name, 8), version(name, 2)];
    const markers = [version(name, 5, { isMarker: true }), version(name, 1, { isMarker: true })];
    assert.equal(winningVersion({ name, versions, markers })?.id, `${name}-8`);
    assert.equal(winningVersion({ name: names.packs, versions, markers })?.id, `${name}-2`);
    assert.equal(winningVersion({ name, versions: [], markers }), null);
  });
});
