import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { openRepository, openStore } from '../../src/repository/index.ts';
import { type CommandRun, documentOf, runHoldfast } from '../support/command-line.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { storeSmallSnapshot } from '../support/small-snapshot.ts';

interface HoldDocument {
  readonly hold: string;
  readonly inForce: boolean;
  readonly who: string;
  readonly why: string;
  readonly until: string | null;
  readonly scope: object;
  readonly ended: { readonly who: string; readonly why: string } | null;
}

describe('the commands for holds', () => {
  let scratch: string;
  let snapshot: string;
  const at = (name: string) => join(scratch, name);

  before(async () => {
    scratch = await makeScratchDirectory('holds');
    assert.equal((await holdfast('repository', 'init', '--generate-key-file', at('key'))).code, 0);
    const store = await openStore(at('repository'), { clock: systemClock });
    const credential = { kind: 'key-file' as const, path: at('key') };
    const repository = await openRepository({ store, credential, access: 'write', clock: systemClock });
    try {
      const stored = await storeSmallSnapshot(repository, { a: Buffer.from('a') }, 'ab'.repeat(32));
      snapshot = stored.snapshot.id;
    } finally {
      await repository.close();
    }
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  function holdfast(...words: string[]): Promise<CommandRun> {
    const environment = { HOLDFAST_REPOSITORY: at('repository'), HOLDFAST_STATE_DIR: at('state') };
    const key: Record<string, string> = words.includes('init') ? {} : { HOLDFAST_KEY_FILE: at('key') };
    return runHoldfast(words, { environment: { ...environment, ...key } });
  }

  async function list(...flags: string[]): Promise<readonly HoldDocument[]> {
    const run = await holdfast('hold', 'list', '--json', ...flags);
    assert.equal(run.code, 0, run.stderr);
    return documentOf<{ holds: HoldDocument[] }>(run).holds;
  }

  it('add, list and remove, ask first, and keep on record what was', async () => {
    const add = ['hold', 'add', snapshot.slice(0, 8), '--why', 'order 17 C 231/26', '--until', '2999-12-31', '--json'];
    const added = documentOf<{ hold: string; until: string; tooLate: string[] }>(
      await holdfast(...add, '--who', 'anna'),
    );
    assert.deepEqual([added.until, added.tooLate], ['3000-01-01T00:00:00.000Z', []]);
    const whole = await holdfast('hold', 'add', '--whole-cluster', '--why', 'an audit', '--who', 'anna');
    assert.match(whole.stdout, /held cluster "shop" until the hold is removed: hold [0-9a-f]{12}/);

    const before = await list();
    assert.deepEqual(
      before.map(({ inForce, who, why, scope }) => ({ inForce, who, why, scope })),
      [
        { inForce: true, who: 'anna', why: 'order 17 C 231/26', scope: { kind: 'snapshots', snapshots: [snapshot] } },
        { inForce: true, who: 'anna', why: 'an audit', scope: { kind: 'cluster', cluster: 'shop' } },
      ],
    );

    const remove = ['hold', 'remove', added.hold.slice(0, 12), '--why', 'settled', '--who', 'bert'];
    const unasked = await holdfast(...remove);
    assert.equal(unasked.code, 4);
    assert.match(unasked.stderr, /anna keeps [0-9a-f]{12} \(order 17 C 231\/26\)/);
    assert.equal((await list()).length, 2, 'nobody agreed');
    assert.equal((await holdfast(...remove, '--yes')).code, 0);
    assert.deepEqual(
      (await list()).map(({ why }) => why),
      ['an audit'],
    );
    const all = await list('--all');
    const { who, why } = all.find(({ hold }) => hold === added.hold)?.ended ?? {};
    assert.deepEqual([all.length, who, why], [2, 'bert', 'settled']);
  });

  it('refuse what does not say what is held, what is over, and what is unknown', async () => {
    const before = await list('--all');
    const refusals: [words: string[], said: RegExp][] = [
      [['add', snapshot, '--everything', '--why', 'x'], /more than one of them/],
      [['add', '--everything', '--why', 'x', '--until', '2020-01-01'], /still to come/],
      [['remove', 'zz', '--why', 'x', '--yes'], /cannot find hold "zz"/],
    ];
    for (const [words, said] of refusals) {
      const run = await holdfast('hold', ...words);
      assert.equal(run.code, 2, `${words.join(' ')}: ${run.stderr}`);
      assert.match(run.stderr, said);
    }
    assert.deepEqual(await list('--all'), before);
  });

  it('notice a hold that is taken away, until it is ended by its whole id', async () => {
    const [held] = await list();
    await rm(join(at('repository'), 'holds', held!.hold));
    const missing = await holdfast('hold', 'list');
    assert.equal(missing.code, 3);
    assert.match(missing.stdout, new RegExp(`Hold ${held!.hold} is no longer there`));
    assert.equal((await holdfast('hold', 'remove', held!.hold, '--why', 'known', '--yes')).code, 0);
    assert.equal((await holdfast('hold', 'list')).code, 0);
  });
});
