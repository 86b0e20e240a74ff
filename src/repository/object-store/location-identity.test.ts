import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { identifyLocation, type PlaceRelation, relateLocations } from './location-identity.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-places-'));
  await mkdir(join(directory, 'one/below'), { recursive: true });
  await symlink(join(directory, 'one'), join(directory, 'link'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function relate(one: string, other: string): Promise<PlaceRelation> {
  return relateLocations(await identifyLocation(one), await identifyLocation(other));
}

describe('two directories', () => {
  it('are one place when links lead from one to the other, also before they are made', async () => {
    const at = (path: string) => join(directory, path);
    assert.equal(await relate(at('one'), at('link')), 'same');
    assert.equal(await relate(at('one'), `file://${at('one/')}`), 'same');
    assert.equal(await relate(at('one/new'), at('link/below/../new')), 'same');
    assert.equal(await relate(at('link/below'), at('one')), 'inside');
    assert.equal(await relate(at('one'), at('link/below/new')), 'around');
    assert.equal(await relate(at('one'), at('other')), 'apart');
    assert.equal(await relate(at('one'), at('one-more')), 'apart');
  });
});

describe('two addresses', () => {
  const cases: [string, string, PlaceRelation][] = [
    ['s3://bucket/shop', 's3://bucket/shop/?region=eu-central-1', 'same'],
    ['s3://bucket/shop', 's3://bucket/shop?endpoint=https://s3.eu-west-1.amazonaws.com', 'same'],
    [
      's3://bucket/shop?endpoint=http://10.0.0.1:9000',
      's3://bucket/shop?endpoint=http://10.0.0.1:9000&pathStyle=true',
      'same',
    ],
    ['s3://bucket/shop', 's3://bucket', 'inside'],
    ['s3://bucket', 's3://bucket/shop', 'around'],
    ['s3://bucket/shop', 's3://bucket/shop-west', 'apart'],
    ['s3://bucket/shop', 's3://other/shop', 'apart'],
    ['s3://bucket/shop?endpoint=http://10.0.0.1:9000', 's3://bucket/shop?endpoint=http://10.0.0.2:9000', 'apart'],
    ['azure://account/container', 's3://account/container', 'apart'],
    ['azure://account/container/x', 'azure://account/container', 'inside'],
    ['s3://bucket/shop', '/bucket/shop', 'apart'],
  ];
  it('are told apart by endpoint, bucket and prefix, and by nothing else', async () => {
    for (const [one, other, expected] of cases) assert.equal(await relate(one, other), expected, `${one} ${other}`);
  });
});
