import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeProposal } from './describe-proposal.ts';
import type { RestoreProposal } from './proposal.ts';

/** A proposal that loses nothing by its numbers. */
function proposal(leftOut: readonly string[]): RestoreProposal {
  const target = { asked: { kind: 'latest' }, exclusive: false, recordLsn: 8n, inclusive: true, timeline: 1 };
  return {
    ...{ into: '/new', manner: 'new', passedOver: [], tablespaces: [], reuse: null, estimateSeconds: 1 },
    snapshot: { id: 'a'.repeat(64), cluster: 'main', completedAt: 0 },
    target: { ...target, reachedLsn: 9n, lastCommit: null, notes: ['Something of the target.'] },
    wal: { files: [], from: 1n, to: 9n, bytes: 0 },
    lost: { bytes: 0n, durableEnd: 9n, firstCommit: null, lastCommit: null },
    size: { dataBytes: 1, neededBytes: 1, freeBytes: 2, fileSystems: [] },
    warnings: ['A warning.', ...leftOut],
    leftOut,
  } as unknown as RestoreProposal;
}

function textsOf(label: string, leftOut: readonly string[]): string[] {
  return describeProposal(proposal(leftOut)).flatMap((line) => (line.label === label ? [line.text] : []));
}

describe('a proposal for people', () => {
  it('says that nothing is lost where all that is stored is brought back', () => {
    assert.deepEqual(textsOf('Loses', []), ['nothing that can be reached']);
    assert.deepEqual(textsOf('Leaves', []), []);
  });

  it('never lets "nothing" stand alone where WAL is stored that it leaves out', () => {
    assert.match(textsOf('Loses', ['WAL is missing.'])[0]!, /^nothing that can be reached; besides, not all that is/);
    assert.deepEqual(textsOf('Leaves', ['WAL is missing.']), ['WAL is missing.']);
  });

  it('says each thing once', () => {
    assert.deepEqual(textsOf('Note', ['WAL is missing.']), ['Something of the target.', 'A warning.']);
  });
});
