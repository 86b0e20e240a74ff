import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, makeInventory, makeLineage, makeSnapshot } from '../../test/support/wal-inventory.ts';
import { describeProposal } from './describe-proposal.ts';
import { type ProposalFacts, proposeRestore, targetUnreachable, type Volume, whyOutdated } from './proposal.ts';
import { routeTo } from './wal-route.ts';

const GIB = 1024 ** 3;
const lineage = makeLineage({ name: 'main', timelines: { 1: [[1, 20]] } });
const inventory = makeInventory(lineage);
const route = routeTo(inventory, lineage);
const snapshot = makeSnapshot({ name: 'snapshot', lineage: 'main', wal: [2.25, 3] });

/** The place of a restore with so much space. */
function volume(freeBytes: number): Volume {
  return { path: '/restored', device: 1, freeBytes, dataBytes: snapshot.bytes };
}

function factsWith(changes: Partial<ProposalFacts> = {}): ProposalFacts {
  return {
    repository: 'r',
    now: Date.UTC(2026, 10, 23, 9),
    into: '/restored',
    start: false,
    asked: { kind: 'lsn', lsn: at(10) },
    exclusive: true,
    inventory,
    resolved: {
      candidate: { snapshot, reach: at(20) },
      route,
      recordLsn: at(10),
      inclusive: false,
      neededEnd: at(10) + 80n,
      reachedLsn: at(10) - 8n,
      lastCommit: null,
      notes: [],
    },
    rejected: [],
    reachable: [],
    located: [],
    prepared: [],
    firstStored: { xid: 76, at: 1_779_000_000_000_000n, lsn: at(11) },
    lastStored: { commit: { xid: 77, at: 1_780_000_000_000_000n, lsn: at(19) }, problem: null },
    knownUntil: null,
    manner: 'new',
    cloneFrom: null,
    survey: { settings: null, tablespaces: [], extensions: [] },
    tablespaces: [],
    reuse: null,
    volumes: [volume(GIB)],
    ...changes,
  };
}

describe('a proposal', () => {
  it('plans exactly the WAL from the start of the backup to the end of the record at which recovery stops', () => {
    const { wal } = proposeRestore(factsWith());
    const segments = wal.files.map(({ name }) => Number.parseInt(name.slice(16), 16));
    assert.deepEqual(segments, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(wal.bytes, 9 * 2 ** 20);
  });

  it('says what will be lost', () => {
    const { lost } = proposeRestore(factsWith());
    assert.equal(lost.bytes, at(20) - at(10) + 8n);
    assert.equal(lost.firstCommit?.xid, 76);
    assert.equal(lost.lastCommit?.xid, 77);
  });

  it('names what is prepared and open at the target', () => {
    const prepared = [{ xid: 815, name: 'transfer', lsn: at(9) }];
    const { target } = proposeRestore(factsWith({ prepared, located: ['Found.'] }));
    assert.deepEqual(target.prepared, prepared);
    assert.equal(target.notes[0], 'Found.');
    assert.match(target.notes.at(-1)!, /^Transaction 815 is prepared as "transfer" .* and open at this moment/);
  });

  it('is the same for the same facts', () => {
    assert.deepEqual(proposeRestore(factsWith()), proposeRestore(factsWith()));
  });

  it('is refused where there is too little space, which a started server needs less of', () => {
    const needed = 20 * 2 ** 20 + 2 * 9 * 2 ** 20;
    assert.equal(proposeRestore(factsWith({ volumes: [volume(needed)] })).size.neededBytes, needed);
    assert.throws(() => proposeRestore(factsWith({ volumes: [volume(needed - 1)] })), {
      code: 'RESTORE_SPACE_SHORT',
      detail: 'Expected 38.0 MiB for data and WAL, found 38.0 MiB free.',
    });
    assert.ok(proposeRestore(factsWith({ volumes: [volume(needed - 1)], start: true })));
  });

  it('can be shown', () => {
    const lines = describeProposal(proposeRestore(factsWith())).map(({ label, text }) => `${label}: ${text}`);
    for (const expected of [
      'Restore: cluster "main" into "/restored"',
      'Target: 0/A00000, exclusive',
      'Stops: before the record at 0/A00000 on timeline 1',
      'Reaches: 0/9FFFF8, no commit since the snapshot',
      'WAL: 9 segments from 0/240000 to 0/A00050 on timeline 1',
    ]) {
      assert.ok(lines.includes(expected), `${expected}\n${lines.join('\n')}`);
    }
    assert.match(
      lines.at(-1) ?? '',
      /^Loses: 10\.0 MiB of WAL up to 0\/1400000: commits from .* \(transaction 76\) to .* \(transaction 77\)$/,
    );
  });

  it('holds as long as its snapshot and its WAL are there, whatever has come since', () => {
    const proposal = proposeRestore(factsWith());
    const now = { repository: 'r', snapshots: [snapshot], durableEnd: at(25), into: '/restored' };
    assert.equal(whyOutdated(proposal, now), null);
    assert.match(whyOutdated(proposal, { ...now, snapshots: [] }) ?? '', /snapshot .* is no longer there/);
    assert.match(
      whyOutdated(proposal, { ...now, durableEnd: at(9) }) ?? '',
      /needs up to 0\/A00050 now ends at 0\/900000/,
    );
    assert.match(whyOutdated(proposal, { ...now, repository: 'other' }) ?? '', /another repository/);
    assert.match(whyOutdated(proposal, { ...now, into: '/elsewhere' }) ?? '', /was made for "\/restored"/);
  });
});

describe('the refusal of a target', () => {
  it('names the ranges first, then the reasons, only the first few of them', () => {
    const rejected = Array.from({ length: 5 }, () => ({ snapshot, reason: 'it is too old' }));
    const error = targetUnreachable({
      target: { kind: 'latest' },
      rejected,
      reachable: ['from 0/1 to 0/2', 'from 0/5 to 0/6'],
      elsewhere: ['Another history …'],
    });
    assert.equal(error.message, 'cannot restore to "latest"');
    assert.match(error.detail ?? '', /^Can be restored: from 0\/1 to 0\/2; from 0\/5 to 0\/6\.\s+Snapshot /);
    assert.match(error.detail ?? '', /2 more do not serve either\.$/);
    assert.equal(error.hints.at(-1), 'Another history …');
  });
});
