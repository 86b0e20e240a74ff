import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scratchFor } from '../../test/support/memory-repository.ts';
import { parseLsn } from '../postgres/index.ts';
import { reachedOtherPosition, verifyReached, whyNotReached } from './verify-reached.ts';

const intended = { reachedLsn: parseLsn('0/5000028'), timeline: 2 };
const recovered = (newTimeline: number | null, lsn: string | null) => ({
  newTimeline,
  endLsn: lsn === null ? null : parseLsn(lsn),
});

describe('the position that a recovery reached', () => {
  it('is the proposed one or the restore failed', () => {
    assert.equal(whyNotReached(intended, recovered(3, '0/5000028')), null);
    assert.match(whyNotReached(intended, recovered(3, '0/5000000')) ?? '', /found its end at 0\/5000000/);
    assert.match(whyNotReached(intended, recovered(3, '0/5000050')) ?? '', /found its end at 0\/5000050/);
  });

  it('counts only when a new timeline was begun, later than the one that was followed', () => {
    assert.match(whyNotReached(intended, recovered(null, null)) ?? '', /no new timeline was begun/);
    assert.match(whyNotReached(intended, recovered(2, '0/5000028')) ?? '', /found timeline 2/);
  });

  it('says by its code whether recovery stopped early or went too far', () => {
    assert.equal(reachedOtherPosition('/d', intended, recovered(3, '0/5000000')).code, 'RESTORE_STOPPED_EARLY');
    assert.equal(reachedOtherPosition('/d', intended, recovered(null, null)).code, 'RESTORE_STOPPED_EARLY');
    assert.equal(reachedOtherPosition('/d', intended, recovered(3, '0/5000050')).code, 'RESTORE_WENT_TOO_FAR');
  });

  it('cannot be told of a directory that is no restore', async (test) => {
    await assert.rejects(verifyReached(await scratchFor(test, 'no-restore')), { code: 'RESTORE_MARKER_ABSENT' });
  });
});
