import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../lib/index.ts';
import { parseBackupLabel, withoutIncrementalFrom } from './backup-label.ts';

const lines = [
  'START WAL LOCATION: 0/2000028 (file 000000030000000000000002)',
  'CHECKPOINT LOCATION: 0/2000080',
  'BACKUP METHOD: streamed',
  'BACKUP FROM: primary',
  'START TIME: 2026-11-23 05:17:51 UTC',
  'LABEL: nightly: the first',
  'START TIMELINE: 3',
];

describe('backup_label', () => {
  it('tells from where to replay', () => {
    assert.deepEqual(parseBackupLabel(`${lines.join('\n')}\n`), {
      startLsn: 0x2000028n,
      startSegment: '000000030000000000000002',
      checkpointLsn: 0x2000080n,
      startTimeline: 3,
      backupMethod: 'streamed',
      backupFrom: 'primary',
      startTime: '2026-11-23 05:17:51 UTC',
      label: 'nightly: the first',
      incrementalFrom: null,
    });
  });

  it('of an increment names the backup that it stands on', () => {
    const text = [...lines, 'INCREMENTAL FROM LSN: 0/1000028', 'INCREMENTAL FROM TLI: 2'].join('\n');
    assert.deepEqual(parseBackupLabel(text).incrementalFrom, { lsn: 0x1000028n, timeline: 2 });
    assert.equal(withoutIncrementalFrom(`${text}\n`), `${lines.join('\n')}\n`);
    assert.equal(withoutIncrementalFrom(lines.join('\n')), lines.join('\n'));
    const half = [...lines, 'INCREMENTAL FROM LSN: 0/1000028'].join('\n');
    assert.throws(() => parseBackupLabel(half), { code: 'PG_BACKUP_LABEL_INVALID' });
  });

  it('is refused when a line is missing or cannot be read', () => {
    for (const missing of lines.keys()) {
      if (lines[missing]!.startsWith('LABEL')) continue;
      const text = lines.filter((_, index) => index !== missing).join('\n');
      assert.throws(() => parseBackupLabel(text), { code: 'PG_BACKUP_LABEL_INVALID' }, lines[missing]);
    }
    for (const [from, to] of [
      ['(file', '(fil'],
      ['START TIMELINE: 3', 'START TIMELINE: 0'],
      ['START TIMELINE: 3', 'START TIMELINE: x'],
    ] as const) {
      const text = lines.join('\n').replace(from, to);
      assert.throws(() => parseBackupLabel(text), { code: 'PG_BACKUP_LABEL_INVALID' }, to);
    }
  });

  it('answers any text with a result or its own error', () => {
    const word = fc.oneof(fc.constantFrom(...lines, '\n', ': ', '0/', '('), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(fc.array(word), (words) => {
        try {
          parseBackupLabel(words.join('\n'));
        } catch (error) {
          assert.ok(error instanceof HoldfastError, String(error));
        }
      }),
    );
  });
});
