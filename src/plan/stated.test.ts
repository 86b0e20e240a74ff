import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { makeScratchDirectory } from '../../test/support/scratch.ts';
import { readStatedPlan } from '../../test/support/stated-plan.ts';
import { compareStated } from './compare-stated.ts';

describe('what a plan states', () => {
  let directory: string;
  before(async () => {
    directory = await makeScratchDirectory('stated');
  });
  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  const read = async (document: object) => (await readStatedPlan(directory, document)).stated;
  const compare = async (old: object, now: object) =>
    compareStated(await read(old), await read(now)).map((each) => [each.path, each.before?.value, each.after?.value]);

  it('is told value by value, as the plan has it, with names and with places', async () => {
    const stated = await read({
      clusters: [{ name: 'shop', settings: { wal_level: 'replica' } }],
      functions: [{ name: 'pay', rto: '90s' }],
      scenarios: [
        { name: 'fire', probability: 'low', impact: 'high', rto: '1h', rpo: '0s', steps: [{ does: 'Run.' }] },
      ],
      retention: { clusters: { shop: { daily: 3 } } },
    });
    const find = (path: string) => {
      const { option, value, origin } = stated.find((each) => each.path === path)!;
      return [option, value, origin === null ? 'default' : 'given'];
    };
    assert.deepEqual(find('functions.pay.rto'), ['functions[0].rto', '90s', 'given']);
    assert.deepEqual(find('clusters.shop.settings.wal_level'), ['clusters[0].settings.wal_level', 'replica', 'given']);
    assert.deepEqual(find('scenarios.fire.steps[0].does'), ['scenarios[0].steps[0].does', 'Run.', 'given']);
    assert.deepEqual(find('retention.clusters.shop.daily'), ['retention.clusters.shop.daily', 3, 'given']);
    assert.deepEqual(find('repository.primary.location'), ['repository.primary', '/backups/shop', 'given']);
    assert.deepEqual(find('objectives.detection'), ['objectives.detection', '2m', 'default']);
    assert.deepEqual(find('wal.flushInterval'), ['wal.flushInterval', '1s', 'default']);
  });

  it('shows references, and hides what may hold a secret', async () => {
    const stated = await read({
      clusters: [{ name: 'shop', connection: 'host=db user=ann' }],
      repository: { primary: '/a', passphrase: { env: 'PASS' } },
      channels: [{ name: 'chat', kind: 'webhook', address: 'https://ann:open@chat.shop.com/hook' }],
    });
    const find = (path: string) => stated.find((each) => each.path === path)!;
    assert.deepEqual(find('repository.passphrase').value, { env: 'PASS' });
    for (const path of ['clusters.shop.connection', 'channels.chat.address']) {
      assert.deepEqual([find(path).value, find(path).isHidden], [null, true], path);
    }
  });

  it('is compared by path: what changed, what came and what went', async () => {
    const old = {
      functions: [
        { name: 'pay', rto: '1h' },
        { name: 'read', rto: '5m', priority: 2 },
      ],
    };
    const now = {
      functions: [
        { name: 'read', rto: '10m' },
        { name: 'find', rto: '1h' },
      ],
    };
    assert.deepEqual(await compare(old, now), [
      ['functions.find.name', undefined, 'find'],
      ['functions.find.rto', undefined, '1h'],
      ['functions.pay.name', 'pay', undefined],
      ['functions.pay.rto', '1h', undefined],
      ['functions.read.priority', 2, undefined],
      ['functions.read.rto', '5m', '10m'],
    ]);
  });

  it('is the same when it means the same', async () => {
    const old = {
      objectives: { rto: '60m' },
      functions: [
        { name: 'a', rto: '1m' },
        { name: 'b', rto: '1m' },
      ],
    };
    const now = {
      objectives: { rto: '1h', detection: '120s' },
      functions: [
        { name: 'b', rto: '60s' },
        { name: 'a', rto: '60s' },
      ],
      repository: { primary: { location: '/backups/shop' } },
    };
    assert.deepEqual(await compare(old, now), []);
  });

  it('tells that a hidden value changed, without telling it', async () => {
    const [difference] = compareStated(
      await read({ clusters: [{ name: 'shop', connection: 'host=a' }] }),
      await read({ clusters: [{ name: 'shop', connection: 'host=b' }] }),
    );
    assert.equal(difference?.path, 'clusters.shop.connection');
    assert.equal(difference?.before?.value, null);
  });
});
