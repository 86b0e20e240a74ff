import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { instanceExitError, parseRecoveryLog } from './recovery-log.ts';

const line = (level: string, text: string) => `2026-11-23 05:28:20.127 UTC [16572] ${level}:  ${text}\n`;

const promoted = [
  line('LOG', 'starting backup recovery with redo LSN 0/2000028, checkpoint LSN 0/2000080, on timeline ID 1'),
  line('FATAL', 'the database system is starting up'),
  line('LOG', 'restored log file "000000010000000000000002" from archive'),
  line('LOG', 'redo starts at 0/2000028'),
  line('LOG', 'completed backup recovery with redo LSN 0/2000028 and end LSN 0/2000120'),
  line('LOG', 'consistent recovery state reached at 0/2000120'),
  line('LOG', 'redo in progress, elapsed time: 1.00 s, current LSN: 0/2FFFFF0'),
  line('LOG', 'recovery stopping before WAL location (LSN) "0/3011940"'),
  line('LOG', 'redo done at 0/3011940 system usage: CPU: user: 0.00 s, system: 0.00 s, elapsed: 0.01 s'),
  line('LOG', 'last completed transaction was at log time 2026-11-23 05:28:40.205306+00'),
  line('LOG', 'selected new timeline ID: 2'),
  line('LOG', 'database system is ready to accept connections'),
].join('');

describe('recovery log', () => {
  it('tells how recovery went', () => {
    assert.deepEqual(parseRecoveryLog(promoted), {
      redoStartLsn: 0x2000028n,
      consistentLsn: 0x2000120n,
      progressLsn: 0x2fffff0n,
      lastRecordLsn: 0x3011940n,
      stopping: 'recovery stopping before WAL location (LSN) "0/3011940"',
      lastTransactionAt: '2026-11-23 05:28:40.205306+00',
      newTimeline: 2,
      restoredFiles: ['000000010000000000000002'],
      fatal: null,
    });
  });

  it('remembers only the last files that were restored', () => {
    const log = Array.from({ length: 50 }, (_, n) => line('LOG', `restored log file "${n}" from archive`)).join('');
    assert.deepEqual(parseRecoveryLog(log).restoredFiles.slice(-2), ['48', '49']);
    assert.equal(parseRecoveryLog(log).restoredFiles.length, 20);
  });

  it('gives the reason of an end its own code', () => {
    const codeFor = (text: string) => instanceExitError(line('FATAL', text), 'exit code 1').code;
    assert.equal(
      codeFor('recovery ended before configured recovery target was reached'),
      'PG_RECOVERY_TARGET_NOT_REACHED',
    );
    assert.equal(
      codeFor('requested recovery stop point is before consistent recovery point'),
      'PG_RECOVERY_TARGET_TOO_EARLY',
    );
    assert.equal(codeFor('could not locate required checkpoint record'), 'PG_INSTANCE_EXITED');
    assert.match(instanceExitError('', 'signal SIGKILL').message, /signal SIGKILL/);
  });

  it('passes on what a restore_command said, but not the advice to remove backup_label', () => {
    const log =
      'cp: cannot stat "x"\n' +
      line('FATAL', 'could not locate required checkpoint record') +
      line('HINT', 'If you are restoring from a backup, touch "recovery.signal".') +
      '\tIf you are not, try removing the file "backup_label".\n' +
      line('LOG', 'database system is shut down');
    const { detail } = instanceExitError(log, 'exit code 1');
    assert.match(detail!, /cp: cannot stat/);
    assert.match(detail!, /database system is shut down$/);
    assert.doesNotMatch(detail!, /backup_label|recovery\.signal/);
  });

  it('is read without an error, whatever it holds', () => {
    const words = fc.constantFrom(...promoted.split(' '), '\n', 'redo starts at x/y', '[1] LOG:  ');
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string()), { maxLength: 60 }), (pieces) => {
        parseRecoveryLog(pieces.join(' '));
        instanceExitError(pieces.join(' '), 'exit code 1');
      }),
    );
  });
});
