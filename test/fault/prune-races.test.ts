import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { codeOf } from '../../src/lib/index.ts';
import {
  type ChunkIndex,
  listTreeChunks,
  memoryStore,
  type Repository,
  type SnapshotRecord,
} from '../../src/repository/index.ts';
import { backUpChunks, type ChunkFiles, readWholeSnapshot } from '../support/chunk-backup.ts';
import { type Actor, Interleaving, type Whims } from '../support/interleaved-store.ts';
import { namesIn } from '../support/listing.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { createRepository } from '../support/memory-repository.ts';
import { pruneOnce } from '../support/prune-once.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';
import { StoreStopped } from '../support/stopping-store.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A campaign draws more. */
const RUNS = Number(process.env.HOLDFAST_PRUNE_RUNS ?? 6);
const SEED = Number(process.env.HOLDFAST_SEED ?? 1);

const CHUNK_BYTES = 600;
const CHUNKS = 30;
/** How often a program does its work before it ends, and how long after each other at most. */
interface Pace {
  readonly rounds: number;
  readonly apartMs: number;
}

const ORDINARY: Pace = { rounds: 14, apartMs: 30 * MINUTE_MS };
const OFTEN: Pace = { rounds: 30, apartMs: 15 * MINUTE_MS };
/** As a plan would have it, so that others meet it after having stood still for weeks. */
const DAILY: Pace = { rounds: 22, apartMs: 2 * DAY_MS };
/** Half of the shortest time from announcement to deletion is what listings may be too old by (`docs/prune.md`). */
const STALE_MS = 29 * MINUTE_MS;

/** Pauses past every lease, past every margin, and past the longest permitted run. */
const standMs = [15 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS, 13 * DAY_MS, 17 * DAY_MS];
const whims: Whims = {
  advance: 12,
  advanceMs: [1000, MINUTE_MS, 3 * MINUTE_MS],
  stand: 1,
  standMs,
  // Where one looks, and where one acts upon what was seen.
  standBefore: [
    // Two weeks between asking for the time and the arrival of an index object are what the protocol does not bear.
    { calls: /putIfAbsent index/, times: 50, msMax: 13 * DAY_MS },
    { calls: /put(?:File)?IfAbsent (?:packs|snapshots)/, times: 50 },
    { calls: /list (?:tombstones|snapshots)/, times: 15 },
    { calls: /putIfAbsent tombstones|delete (?:packs|index|snapshots)/, times: 15 },
  ],
  kill: 1,
};

/** Those that spare work are short, so that more is deleted while others are at work; those on which safety rests are the ones that users have. */
const margins = { leftoverMs: 5 * MINUTE_MS, movedMs: HOUR_MS, withdrawMs: 5 * MINUTE_MS };

/** What may end a program: it lost a race, and said so. */
const LOST_RACES: ReadonlySet<string> = new Set([
  ...['LEASE_LOST', 'BACKUP_OVERTAKEN_BY_PRUNE', 'BACKUP_WITHDRAWN', 'BACKUP_TOO_LONG'],
  ...['PRUNE_PROPOSAL_STALE', 'PRUNE_RUNNING', 'PRUNE_ROOT_UNREADABLE'],
]);

/** Everything that the programs of one run share. */
interface World {
  readonly clock: ManualClock;
  readonly random: Random;
  readonly chunks: readonly Buffer[];
  /** As nobody disturbs it. */
  readonly honest: Repository;
  readonly interleaving: Interleaving;
  /** Snapshots that some pruner was told to forget. */
  readonly given: Set<string>;
  readonly tally: Record<string, number>;
  /** Whether nobody can rely on leases: safety must not rest on them. */
  readonly withoutLease: boolean;
  open(actor: Actor): Repository;
}

async function makeWorld(test: TestContext, seed: number): Promise<World> {
  const clock = new ManualClock();
  const random = seededRandom(seed);
  const inner = memoryStore({ clock });
  const { open } = await createRepository(test, { store: inner, clock });
  const honest = await open({ access: 'prune' });
  const interleaving = new Interleaving({ inner, clock, random, whims });
  const chunks = Array.from({ length: CHUNKS }, () => random.bytes(CHUNK_BYTES));
  return {
    ...{ clock, random, chunks, honest, interleaving, given: new Set(), tally: {} },
    withoutLease: seed % 4 > 0,
    open: ({ store }) => honest.inPlace(store),
  };
}

function count(world: World, what: string): void {
  world.tally[what] = (world.tally[what] ?? 0) + 1;
}

/** Runs rounds until it is killed; a race that was lost ends a round. */
async function inRounds(
  world: World,
  allowed: ReadonlySet<string>,
  round: () => Promise<void>,
  pace: Pace = ORDINARY,
): Promise<void> {
  for (let done = 0; done < pace.rounds; done++) {
    try {
      await world.clock.sleep(world.random.below(pace.apartMs));
      await round();
    } catch (error) {
      if (error instanceof StoreStopped) return;
      const code = codeOf(error) ?? '';
      if (!allowed.has(code)) throw error;
      count(world, code);
    }
  }
}

/** Takes backups, some of which stand on an older one without asking for its chunks. */
function writer(world: World, actor: Actor): () => Promise<void> {
  const repository = world.open(actor);
  const { random, chunks } = world;
  const some = () => Array.from({ length: 1 + random.below(4) }, () => random.pick(chunks));
  // A base that goes while it is read is missed, and the run begins again.
  const allowed = new Set([...LOST_RACES, 'CHUNK_ABSENT']);
  return () =>
    inRounds(world, allowed, async () => {
      await backUpChunks(
        repository,
        async (index) => ({
          ...(random.below(2) === 0 ? {} : await standOnNewest(repository, index, random)),
          own: some(),
          [`other${random.below(3)}`]: some(),
          third: some(),
        }),
        { withoutLease: world.withoutLease },
      );
      count(world, 'backups');
    });
}

async function standOnNewest(repository: Repository, index: ChunkIndex, random: Random): Promise<ChunkFiles> {
  const { snapshots } = await repository.listSnapshots();
  const base = snapshots.at(-1 - random.below(2));
  if (base === undefined) return {};
  const { readChunk } = repository.openChunkReader(index);
  const ids: { id: Buffer; length: number }[] = [];
  for await (const { id, content } of listTreeChunks(base.tree.root, readChunk))
    if (content === 'data') ids.push({ id, length: CHUNK_BYTES });
  return { base: ids };
}

interface PruneRules {
  readonly allowed: ReadonlySet<string>;
  readonly graceMs: number;
}

/** Forgets all but the newest ones. */
function pruner(world: World, actor: Actor, rules: PruneRules, pace: Pace): () => Promise<void> {
  const { allowed, graceMs } = rules;
  const repository = world.open(actor);
  return () =>
    inRounds(
      world,
      allowed,
      async () => {
        const { snapshots } = await repository.listSnapshots();
        const forget = snapshots
          .slice(0, Math.max(0, snapshots.length - 1 - world.random.below(3)))
          .map(({ id }) => id);
        for (const id of forget) world.given.add(id);
        const options = { forget, margins: { ...margins, graceMs }, withoutLease: world.withoutLease };
        const { result } = await pruneOnce(repository, options);
        count(world, 'prunes');
        world.tally.deleted = (world.tally.deleted ?? 0) + result.deleted.packs;
        await checkKept(world);
      },
      pace,
    );
}

/** Reads snapshots by an index that may be older than what it reads. */
function reader(world: World, actor: Actor): () => Promise<void> {
  const repository = world.open(actor);
  return () =>
    inRounds(world, new Set(['SNAPSHOT_ABSENT']), async () => {
      const { snapshots } = await repository.listSnapshots();
      const snapshot = snapshots[world.random.below(Math.max(1, snapshots.length))];
      if (snapshot === undefined) return;
      try {
        await readWholeSnapshot(repository, snapshot);
      } catch (error) {
        if (error instanceof StoreStopped) throw error;
        // What went on elsewhere meanwhile is found by an index that is read again.
        if (!world.given.has(snapshot.id))
          await readWholeSnapshot(repository, snapshot).catch((again) => {
            if (!world.given.has(snapshot.id)) throw again;
          });
      }
      count(world, 'reads');
    });
}

/** Every snapshot that nobody was told to forget is there, to its last chunk. */
async function checkKept(world: World): Promise<SnapshotRecord[]> {
  const { snapshots, damaged } = await world.honest.listSnapshots();
  assert.deepEqual(damaged, []);
  const kept = snapshots.filter(({ id }) => !world.given.has(id));
  for (const snapshot of kept) {
    try {
      await readWholeSnapshot(world.honest, snapshot);
    } catch (error) {
      world.interleaving.trace.push(`snapshot ${snapshot.id} cannot be read`);
      throw error;
    }
  }
  return snapshots;
}

/** Prunes as a plan would, day after day, until nothing is left to be done. */
async function settle(world: World): Promise<void> {
  for (let day = 0; day < 22; day++) {
    await world.clock.advance(DAY_MS);
    await pruneOnce(world.honest, { forget: [...world.given] });
  }
}

async function checkClean(world: World): Promise<void> {
  const { honest } = world;
  const { snapshots } = await honest.listSnapshots();
  for (const snapshot of snapshots) await readWholeSnapshot(honest, snapshot);
  const index = await honest.loadIndex();
  try {
    const needed = new Set<string>();
    for (const { tree } of snapshots) {
      const { readChunk } = honest.openChunkReader(index);
      for await (const { id } of listTreeChunks(tree.root, readChunk))
        for (const { packId } of index.lookup(id)) needed.add(`packs/${packId.toString('hex')}`);
    }
    assert.deepEqual(
      await namesIn(honest.store, 'packs/'),
      [...needed].sort(),
      'packs that somebody needs, and no others',
    );
    const indexed = [...index.listPacks()].map(({ packId }) => `packs/${packId.toString('hex')}`);
    assert.deepEqual(indexed.sort(), [...needed].sort(), 'the index names what is there');
  } finally {
    index.close();
  }
  const ids = snapshots.map(({ id }) => id).sort();
  assert.deepEqual(
    await namesIn(honest.store, 'snapshots/pending/'),
    ids.map((id) => `snapshots/pending/${id}`),
  );
  assert.deepEqual(await namesIn(honest.store, 'tombstones/'), []);
  assert.deepEqual(await namesIn(honest.store, 'volatile/'), []);
}

async function race(test: TestContext, seed: number, staleMs: number): Promise<Record<string, number>> {
  const world = await makeWorld(test, seed);
  const { interleaving } = world;
  const allowed = staleMs === 0 ? LOST_RACES : new Set([...LOST_RACES, 'STORE_LISTS_LATE']);
  // Where listings are true, no time at all has to pass between announcing and deleting.
  const graceMs = staleMs === 0 ? 0 : HOUR_MS;
  const rules = { allowed, graceMs };
  const add = (name: string) => interleaving.addActor(name, { staleMs });
  try {
    await interleaving.run([
      writer(world, add('writer 1')),
      writer(world, add('writer 2')),
      pruner(world, add('pruner 1'), rules, OFTEN),
      pruner(world, add('pruner 2'), rules, OFTEN),
      pruner(world, add('daily pruner'), rules, DAILY),
      reader(world, interleaving.addActor('reader')),
    ]);
    await checkKept(world);
    await settle(world);
    await checkClean(world);
  } catch (error) {
    test.diagnostic(`seed ${seed}, the last calls:\n${interleaving.trace.slice(-80).join('\n')}`);
    throw error;
  }
  return world.tally;
}

describe('a prune among backups, restores and another prune, each of which may stand still for days or be killed', () => {
  for (const [what, staleMs] of [
    ['whose listings are true', 0],
    ['whose listings are up to half an hour old', STALE_MS],
  ] as const) {
    it(`deletes nothing that is needed, and everything else in the end, in a store ${what}`, async (test) => {
      const sum: Record<string, number> = {};
      for (let run = 0; run < RUNS; run++) {
        const tally = await race(test, SEED * 10_000 + run, staleMs);
        for (const [key, value] of Object.entries(tally)) sum[key] = (sum[key] ?? 0) + value;
      }
      test.diagnostic(`${RUNS} runs from seed ${SEED * 10_000}: ${JSON.stringify(sum)}`);
      assert.ok((sum.backups ?? 0) > RUNS && (sum.deleted ?? 0) > RUNS, 'there was something to race for');
    });
  }
});
