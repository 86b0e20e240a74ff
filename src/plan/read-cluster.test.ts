import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadPlan } from './load-plan.ts';
import { PlanError } from './plan-error.ts';
import type { Need } from './reading.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-cluster-'));
});
after(() => rm(directory, { recursive: true, force: true }));

interface Given {
  readonly plan: unknown;
  readonly flags?: Record<string, string>;
  readonly environment?: Record<string, string>;
  readonly need?: Need;
}

async function load({ plan, flags = {}, environment = {}, need = 'required' }: Given) {
  const planFile = join(directory, 'plan.json');
  await writeFile(planFile, JSON.stringify(plan));
  const machine = { cores: 1, homeDirectory: '/home/ann', isRoot: false, environment };
  const libraryUrl = new URL('./define-plan.ts', import.meta.url).href;
  return await loadPlan({ planFile, directory, flags, machine, libraryUrl, needs: { connection: need } });
}

async function clusterOf(given: Given) {
  const { cluster } = await load(given);
  return [cluster.name, cluster.connection?.reveal() ?? null];
}

async function sentencesOf(given: Given): Promise<string[][]> {
  const error = await load(given).then(
    () => assert.fail('the plan was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PlanError);
  return error.problems.map(({ option, sentence }) => [option, sentence]);
}

const one = { clusters: [{ name: 'shop', connection: 'host=shop' }] };
const two = { clusters: [...one.clusters, { name: 'stock', connection: 'host=stock' }] };

describe('the cluster that a command is about', () => {
  it('is the only one of the plan', async () => {
    assert.deepEqual(await clusterOf({ plan: one }), ['shop', 'host=shop']);
  });

  it('is the one that is named, with the connection that the plan has for it', async () => {
    assert.deepEqual(await clusterOf({ plan: two, flags: { 'cluster.name': 'stock' } }), ['stock', 'host=stock']);
    assert.deepEqual(await clusterOf({ plan: two, environment: { HOLDFAST_CLUSTER: 'shop' } }), ['shop', 'host=shop']);
  });

  it('never gets the connection of another one', async () => {
    const flags = { 'cluster.name': 'old' };
    assert.deepEqual(await clusterOf({ plan: one, flags, need: 'wanted' }), ['old', null]);
    assert.deepEqual(await sentencesOf({ plan: one, flags }), [
      ['cluster.connection', 'Missing. Give --database, DATABASE_URL or clusters[].connection in a plan.'],
    ]);
    const environment = { DATABASE_URL: 'host=old' };
    assert.deepEqual(await clusterOf({ plan: one, flags, environment }), ['old', 'host=old']);
  });

  it('is not guessed among several that a server is asked of', async () => {
    assert.deepEqual(await sentencesOf({ plan: two }), [
      [
        'cluster.name',
        'Expected the name of one, as the plan has "shop", "stock". Give --cluster or HOLDFAST_CLUSTER.',
      ],
    ]);
    const { cluster, clusters } = await load({ plan: two, need: 'wanted' });
    assert.deepEqual([cluster.nameOrigin, cluster.connection], [null, null]);
    assert.deepEqual(
      clusters.map(({ name }) => name),
      ['shop', 'stock'],
    );
  });

  it('under the name that the option had before is refused with what is to be written', async () => {
    const plan = { cluster: { name: 'shop', connection: 'host=shop password=sesame' } };
    assert.deepEqual(await sentencesOf({ plan, need: 'wanted' }), [
      ['cluster', 'It is called "clusters" now. Write clusters: [{ … }] instead of cluster: { … }.'],
    ]);
  });
});
