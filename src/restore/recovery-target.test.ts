import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../lib/index.ts';
import { formatTimestamp } from '../postgres/index.ts';
import { formatRecoveryTarget, parseRecoveryTarget, type RecoveryTarget } from './recovery-target.ts';

function timeOf(text: string): string {
  const target = parseRecoveryTarget(text);
  assert.equal(target.kind, 'time');
  return formatTimestamp(target.kind === 'time' ? target.at : 0n);
}

function refusal(text: string, timeZone = 'UTC'): HoldfastError {
  try {
    parseRecoveryTarget(text, { timeZone });
  } catch (error) {
    assert.ok(error instanceof HoldfastError);
    return error;
  }
  throw new assert.AssertionError({ message: `"${text}" was accepted` });
}

describe('the target of a restore', () => {
  it('is "latest", an LSN or a time', () => {
    assert.deepEqual(parseRecoveryTarget(' Latest '), { kind: 'latest' });
    assert.deepEqual(parseRecoveryTarget('16/B374D848'), { kind: 'lsn', lsn: 0x16b374d848n });
    assert.equal(timeOf('2026-11-23T09:00:00Z'), '2026-11-23T09:00:00.000000Z');
  });

  it('is a commit to leave out, a transaction with or without its epoch, a restore point, or the earliest there is', () => {
    assert.deepEqual(parseRecoveryTarget('Immediate'), { kind: 'immediate' });
    assert.deepEqual(parseRecoveryTarget('before:16/B374D848'), { kind: 'before', lsn: 0x16b374d848n });
    assert.deepEqual(parseRecoveryTarget('xid: 4711'), { kind: 'xid', xid: 4711, epoch: null });
    assert.deepEqual(parseRecoveryTarget('XID:2:4711'), { kind: 'xid', xid: 4711, epoch: 2n });
    assert.deepEqual(parseRecoveryTarget('xid:0:4711'), { kind: 'xid', xid: 4711, epoch: 0n });
    assert.deepEqual(parseRecoveryTarget('xid:8589939303'), { kind: 'xid', xid: 4711, epoch: 2n });
    assert.deepEqual(parseRecoveryTarget(' name:before release: 7 '), { kind: 'name', name: 'before release: 7 ' });
  });

  it('refuses numbers that no transaction has, and names that no restore point has', () => {
    const texts = ['xid:', 'xid:0', 'xid:2', 'xid:1:1', 'xid:-5', 'xid:4294967296:5', 'xid:1:4294967296', 'xid:ten'];
    for (const text of [...texts, 'name:', `name:${'ä'.repeat(32)}`]) {
      assert.equal(refusal(text).code, 'RECOVERY_TARGET_INVALID', text);
    }
    assert.equal(refusal('before:yesterday').code, 'PG_LSN_INVALID');
  });

  it('accepts a time with any offset, in the forms that people and PostgreSQL write', () => {
    const expected = '2026-11-23T08:59:30.250000Z';
    for (const text of [
      '2026-11-23T08:59:30.25Z',
      '2026-11-23t08:59:30.25z',
      '2026-11-23 10:59:30.25+02',
      '2026-11-23 10:59:30.250000+02:00',
      '2026-11-23T10:59:30,25+0200',
      '2026-11-23 05:29:30.25 -0330',
      '2026-11-23 08:59:30.25 UTC',
    ]) {
      assert.equal(timeOf(text), expected, text);
    }
    assert.equal(timeOf('2026-11-23 09:00+00'), '2026-11-23T09:00:00.000000Z');
    assert.equal(timeOf('2026-11-23T09:00:00.000001Z'), '2026-11-23T09:00:00.000001Z');
  });

  it('refuses a time without a zone and shows what it would be in UTC and here', () => {
    const error = refusal('2026-07-01 12:00:00', 'Europe/Berlin');
    assert.equal(error.code, 'RECOVERY_TARGET_UNZONED');
    assert.equal(
      error.detail,
      "Read as UTC it is 2026-07-01T12:00:00Z; read in this machine's zone, Europe/Berlin, it is 2026-07-01T10:00:00Z.",
    );
    assert.equal(error.hints[0], 'Write --to 2026-07-01T12:00:00Z or --to 2026-07-01T10:00:00Z.');
  });

  it('says both moments of an hour that the clocks showed twice, and that a skipped hour never was', () => {
    assert.match(
      refusal('2026-10-25 02:30:00', 'Europe/Berlin').detail ?? '',
      /it is 2026-10-25T00:30:00Z or, as the clocks were set back, 2026-10-25T01:30:00Z\./,
    );
    assert.match(
      refusal('2026-03-29 02:30:00', 'Europe/Berlin').detail ?? '',
      /was skipped when the clocks were changed/,
    );
    assert.match(
      refusal('2026-11-23 09:00', 'Asia/Kathmandu').detail ?? '',
      /Asia\/Kathmandu, it is 2026-11-23T03:15:00Z/,
    );
  });

  it('refuses a bare date, too, as it has no zone', () => {
    assert.equal(refusal('2026-11-23').code, 'RECOVERY_TARGET_UNZONED');
  });

  it('refuses dates and times that never were', () => {
    for (const text of [
      '2026-02-30T00:00:00Z',
      '2025-02-29T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-00-10T00:00:00Z',
      '2026-11-23T24:00:00Z',
      '2026-11-23T09:60:00Z',
      '2026-11-23T09:00:60Z',
    ]) {
      const error = refusal(text);
      assert.equal(error.code, 'RECOVERY_TARGET_INVALID', text);
      assert.match(error.detail ?? '', /^There is no /, text);
    }
  });

  it('refuses what is neither', () => {
    for (const text of [
      '',
      'yesterday',
      '11/23/2026',
      '2026-11-23Z',
      '2026-11-23T09:00:00+16:00',
      '2026-11-23T09:00:00+02:75',
    ]) {
      assert.equal(refusal(text).code, 'RECOVERY_TARGET_INVALID', text);
    }
    assert.equal(refusal('2026-11-23T09:00:00.1234567Z').code, 'RECOVERY_TARGET_INVALID');
    assert.equal(refusal('16/').code, 'PG_LSN_INVALID');
  });

  it('is read back from what is written, whatever it is', () => {
    const anyTarget: fc.Arbitrary<RecoveryTarget> = fc.oneof(
      fc.constant<RecoveryTarget>({ kind: 'latest' }),
      fc.bigInt(0n, (1n << 64n) - 1n).map((lsn) => ({ kind: 'lsn', lsn }) as const),
      fc.bigInt(0n, 253_402_300_799_999_999n).map((at) => ({ kind: 'time', at }) as const),
      fc.constant<RecoveryTarget>({ kind: 'immediate' }),
      fc.bigInt(0n, (1n << 64n) - 1n).map((lsn) => ({ kind: 'before', lsn }) as const),
      fc
        .tuple(fc.integer({ min: 3, max: 2 ** 32 - 1 }), fc.option(fc.bigInt(0n, (1n << 32n) - 1n)))
        .map(([xid, epoch]) => ({ kind: 'xid', xid, epoch }) as const),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 15 }).map((name) => ({ kind: 'name', name }) as const),
    );
    fc.assert(
      fc.property(anyTarget, (target) => {
        assert.deepEqual(parseRecoveryTarget(formatRecoveryTarget(target)), target);
      }),
    );
  });
});
