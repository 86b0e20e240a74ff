import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseLsn } from '../../src/postgres/index.ts';
import { compareDirectories } from '../../src/prove/cross-check/compare-directories.ts';
import {
  type ChangedWorld,
  judgeRestore,
  makeChangedWorld,
  removeRestored,
  replayTo,
  ServerChain,
} from '../support/changes/index.ts';
import type { PostgresMajor } from '../support/postgres-binaries.ts';
import { fetchRefereeTools, type RefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

/** A campaign asks for more. */
const backups = Number(process.env.HOLDFAST_BACKUPS ?? 3);
const changes = Number(process.env.HOLDFAST_CHANGES ?? 12);
/** The sample is the same each time; a campaign draws others. */
const seed = Number(process.env.HOLDFAST_SEED ?? 101);
/** From 17 on servers tell what changed. */
const major = Number(process.env.HOLDFAST_MAJOR ?? 18) as PostgresMajor;
/** The tools of 18 combine the backups of no other major. */
const hasOwnTools = major === 18;
const owner = runsAsRoot ? { owner: nobody } : {};

describe(`backups of PostgreSQL ${major} between random changes (HOLDFAST_SEED=${seed})`, {
  skip: whyNoReferees(),
}, () => {
  let made: ChangedWorld;
  let tools: RefereeTools;
  let chain: ServerChain;
  const random = seededRandom(seed + 1);

  before(async (suite) => {
    tools = await fetchRefereeTools();
    made = await makeChangedWorld({ seed, major, backups, changes }, async ({ world, points }) => {
      chain ??= new ServerChain(world.server, tools, join(world.scratch, 'chain'));
      // The first, some on the way, and the last.
      if (hasOwnTools && (points.length % 3 === 1 || points.length === backups)) await chain.take();
    });
    suite.diagnostic(`${made.changes.done.length} changes; backups: ${made.backups.join('; ')}`);
  });
  after(() => made?.dispose());

  for (let number = 0; number < backups; number++) {
    it(`are restored to what the server had at moment ${number + 1}`, async () => {
      const point = made.points[number]!;
      // Mostly by the backup before it, or by an older one, with more to replay.
      const { snapshot } = made.points[random.below(4) === 0 ? random.below(number + 1) : number]!;
      const way = random.pick(['started', 'manifest'] as const);
      await judgeRestore(made.world, tools, { snapshot, point, way });
    });
  }

  it('are replayed to the pages of the server, and to those of pg_combinebackup', {
    skip: !hasOwnTools,
  }, async (test) => {
    const { server } = made.world;
    await server.query('CHECKPOINT');
    const [end] = await server.query<{ lsn: string }>("SELECT pg_create_restore_point('end') AS lsn");
    // The record is flushed, and so sent, with the end of its segment.
    await server.query('SELECT pg_switch_wal()');
    await made.world.settle();
    const { id } = made.points.at(-1)!.snapshot;
    const restored = await made.world.restore({ target: { kind: 'name', name: 'end' }, snapshot: id, ...owner });
    const ours = restored.proposal.into;
    const theirs = await chain.combine();
    for (const directory of [ours, theirs]) await replayTo('end', server, directory);
    await made.changes.dispose();
    await server.stop('fast');
    const compare = (one: string, other: string) => compareDirectories(one, other, { reachedLsn: parseLsn(end!.lsn) });
    const found = await compare(server.dataDirectory, ours);
    assert.ok(found.pages > 1000, `${found.pages} pages were compared`);
    assert.deepEqual(found.first, [], 'the pages of the server');
    // Known defects of PostgreSQL's own increments are not ours: see docs/increments.md.
    const { count } = await compare(server.dataDirectory, theirs);
    if (count > 0) test.diagnostic(`pg_combinebackup made ${count} pages that are not the server's`);
    else assert.deepEqual((await compare(theirs, ours)).first, [], 'the pages of pg_combinebackup');
    await server.restart();
    await removeRestored(ours);
  });
});
