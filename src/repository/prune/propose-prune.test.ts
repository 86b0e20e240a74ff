import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PackFacts, PruneFacts } from './facts.ts';
import { DEFAULT_MARGINS } from './margins.ts';
import { proposePrune } from './propose-prune.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = 1000 * DAY_MS;
const idOf = (digit: string) => digit.repeat(64);

function pack(digit: string, changes: Partial<PackFacts> = {}): PackFacts {
  return {
    ...{ id: idOf(digit), stored: { bytes: 1100, storedAt: NOW - 10 * DAY_MS }, isIndexed: true },
    ...{
      announcedAt: null,
      isDamaged: false,
      chunkBytes: 1000,
      liveChunks: 0,
      liveBytes: 0,
      sharedChunks: 0,
      leaningChunks: 0,
    },
    ...changes,
  };
}

function facts(changes: Partial<PruneFacts> = {}): PruneFacts {
  return {
    ...{ repositoryId: '1', place: 'memory', takenAt: NOW, tombstones: [], leases: [], pending: [], withdrawn: [] },
    ...{ roots: 1, forget: [], deferred: [], packs: [], indexObjects: [], damage: new Map() },
    ...{ unreadablePending: [], lostChunks: 0 },
    ...changes,
  };
}

const lease = (began: number, isAlive = true) => ({
  ...{ name: `volatile/leases/${began}`, purpose: 'backup', began, storedAt: began, isAlive },
});

/** What becomes of one pack. */
function fateOf(one: PackFacts, changes: Partial<PruneFacts> = {}): string {
  const proposal = proposePrune(facts({ packs: [one], ...changes }));
  const fates = [
    ...proposal.announce.map(() => 'announce'),
    ...proposal.repack.map(({ isAnnounced }) => (isAnnounced ? 'rescue' : 'repack')),
    ...proposal.delete.map(() => 'delete'),
    ...proposal.waiting.map(({ reason }) => reason),
  ];
  assert.ok(fates.length <= 1, fates.join());
  return fates[0] ?? 'stays';
}

describe('what becomes of a pack', () => {
  const live = (bytes: number) => ({ liveChunks: 1, liveBytes: bytes });

  it('goes by what is live in it', () => {
    assert.equal(fateOf(pack('a')), 'announce');
    assert.equal(fateOf(pack('a', { isIndexed: false, chunkBytes: 0 })), 'announce');
    assert.equal(fateOf(pack('a', live(299))), 'repack');
    assert.equal(fateOf(pack('a', live(300))), 'stays');
    assert.equal(fateOf(pack('a', { ...live(10), isDamaged: true })), 'stays');
    assert.equal(fateOf(pack('a', { stored: null })), 'stays');
  });

  it('goes by its age, and by who is at work', () => {
    const young = pack('a', { stored: { bytes: 1100, storedAt: NOW - 47 * HOUR_MS } });
    assert.equal(fateOf(young), 'young');
    assert.equal(fateOf({ ...young, ...live(10) }), 'stays');
    const older = lease(NOW - 11 * DAY_MS);
    assert.equal(fateOf(pack('a'), { leases: [older] }), 'young');
    assert.equal(fateOf(pack('a'), { leases: [{ ...older, isAlive: false }] }), 'announce');
    assert.equal(fateOf(pack('a'), { leases: [lease(NOW - DAY_MS)] }), 'announce');
  });

  it('goes by its announcement, once that is old enough and nobody is at work since before', () => {
    const at = (ms: number, changes: Partial<PackFacts> = {}) => pack('a', { announcedAt: NOW - ms, ...changes });
    assert.equal(fateOf(at(HOUR_MS - 1)), 'grace');
    assert.equal(fateOf(at(HOUR_MS)), 'delete');
    assert.equal(fateOf(at(23 * HOUR_MS, { sharedChunks: 1 })), 'moved');
    assert.equal(fateOf(at(DAY_MS, { sharedChunks: 1 })), 'delete');
    assert.equal(fateOf(at(DAY_MS, live(900))), 'rescue');
    assert.equal(fateOf(at(DAY_MS, { sharedChunks: 1, leaningChunks: 1 })), 'live');
    assert.equal(fateOf(at(DAY_MS), { leases: [lease(NOW - DAY_MS - 1)] }), 'lease');
    assert.equal(fateOf(at(DAY_MS), { leases: [lease(NOW - HOUR_MS)] }), 'delete');
  });
});

describe('a proposal', () => {
  it('withdraws pending snapshots that nobody who lives can be about to commit', () => {
    const open = { id: idOf('1'), storedAt: NOW - 2 * HOUR_MS, state: 'open' as const };
    const withdrawn = (changes: Partial<PruneFacts>) => proposePrune(facts({ pending: [open], ...changes })).withdraw;
    assert.deepEqual(withdrawn({}), [open.id]);
    assert.deepEqual(withdrawn({ leases: [lease(NOW - 3 * HOUR_MS)] }), []);
    assert.deepEqual(withdrawn({ leases: [lease(NOW - HOUR_MS)] }), [open.id]);
    assert.deepEqual(withdrawn({ pending: [{ ...open, storedAt: NOW - HOUR_MS + 1 }] }), []);
    for (const state of ['spared', 'committed', 'withdrawn'] as const)
      assert.deepEqual(withdrawn({ pending: [{ ...open, state }] }), []);
  });

  it('does nothing but withdraw while a pending snapshot cannot be read', () => {
    const made = proposePrune(facts({ packs: [pack('a')], forget: [idOf('9')], unreadablePending: [idOf('1')] }));
    assert.deepEqual([made.isHeldBack, made.forget, made.announce], [true, [], []]);
  });

  it('replaces index objects that name what goes, and names what stays in no other one', () => {
    const gone = pack('a', { announcedAt: NOW - DAY_MS });
    const [b, c] = ['b', 'c'].map((digit) => pack(digit, { liveChunks: 1, liveBytes: 1000 })) as [PackFacts, PackFacts];
    const indexObjects = [
      { name: 'index/1', chunks: 50_000, packs: [gone.id, b.id, c.id] },
      { name: 'index/2', chunks: 50_000, packs: [c.id] },
    ];
    const packs = [gone, b, c];
    assert.deepEqual(proposePrune(facts({ packs, indexObjects })).supersede, { objects: ['index/1'], rewrite: [b.id] });
    const tombstones = [{ name: 't', storedAt: NOW, packs: [], index: ['index/2'] }];
    assert.deepEqual(proposePrune(facts({ packs: [b, c], indexObjects, tombstones })).supersede, {
      objects: ['index/2'],
      rewrite: [],
    });
  });

  it('joins index objects when there are many small ones', () => {
    const packs = Array.from({ length: 70 }, (_, i) =>
      pack('a', { id: i.toString(16).padStart(64, '0'), liveChunks: 1, liveBytes: 1000 }),
    );
    const indexObjects = packs.map(({ id }, i) => ({ name: `index/${i}`, chunks: 10, packs: [id] }));
    const { objects, rewrite } = proposePrune(facts({ packs, indexObjects })).supersede;
    assert.deepEqual([objects.length, rewrite.length], [70, 70]);
    const few = { packs: packs.slice(0, 60), indexObjects: indexObjects.slice(0, 60) };
    assert.deepEqual(proposePrune(facts(few)).supersede.objects, []);
  });

  it('keeps a tombstone for longer than any run, and until nothing of what it names is left', () => {
    const old = { name: 'tombstones/1', storedAt: NOW - DEFAULT_MARGINS.tombstoneMs, packs: [idOf('a')], index: [] };
    const damage = new Map([[idOf('a'), [`damage/${idOf('a')}`]]]);
    const cleared = (changes: Partial<PruneFacts>) =>
      proposePrune(facts({ tombstones: [old], damage, ...changes })).clearUp;
    assert.deepEqual(cleared({}), { small: [`damage/${idOf('a')}`], tombstones: ['tombstones/1'] });
    assert.deepEqual(cleared({ tombstones: [{ ...old, storedAt: old.storedAt + 1 }] }).tombstones, []);
    // Named by an index object that came late, though it is gone.
    assert.deepEqual(cleared({ packs: [pack('a', { stored: null, announcedAt: old.storedAt })] }).tombstones, []);
  });

  it('clears up withdrawals after a year, and leases after a day', () => {
    const year = { id: idOf('1'), storedAt: NOW - 366 * DAY_MS };
    const made = proposePrune(
      facts({
        withdrawn: [year, { ...year, id: idOf('2'), storedAt: NOW - DAY_MS }],
        pending: [{ id: idOf('2'), storedAt: 0, state: 'withdrawn' }],
        leases: [lease(NOW - 2 * DAY_MS, false), lease(NOW - HOUR_MS, false)],
      }),
    );
    assert.deepEqual(made.clearUp.small, [
      `snapshots/pending/${idOf('2')}`,
      `snapshots/committed/${year.id}`,
      `volatile/leases/${NOW - 2 * DAY_MS}`,
    ]);
  });
});
