import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ContenderName } from './contenders/index.ts';
import { formatReport } from './report.ts';
import { type BenchResults, readMachineFacts, summarize } from './results.ts';
import type { Sample } from './rounds.ts';

describe('the report of a bench', () => {
  it('divides ours by theirs, round by round, and gives medians with their spread', () => {
    const samples = [
      ...[sample('pgbackrest', 1, 2, 100), sample('pgbackrest', 2, 4, 100), sample('pgbackrest', 3, 8, 100)],
      ...[sample('holdfast', 3, 4, 90), sample('holdfast', 1, 2, 90), sample('holdfast', 2, 3, 90)],
    ];
    const [full] = summarize(samples, ['full']);
    assert.deepEqual(full?.ratios, [
      {
        against: 'pgbackrest',
        wall: { median: 0.75, min: 0.5, max: 1 },
        machineCpu: { median: 0.75, min: 0.5, max: 1 },
        runCpu: { median: 0.75, min: 0.5, max: 1 },
        stored: { median: 0.9, min: 0.9, max: 0.9 },
      },
    ]);
    const report = formatReport(resultsOf(samples));
    assert.match(report, /\| holdfast 1\.0 +\| 3\.00 \(2\.00–4\.00\) /);
    assert.match(report, /\| holdfast \/ pgbackrest \| 0\.75 \(0\.50–1\.00\) /);
    assert.doesNotMatch(report, /Disturbed/);
  });

  it('compares no bytes with a peer that stores none, and nothing when ours did not run', () => {
    const peer = { ...sample('pg_basebackup', 1, 1, 0), storedBytes: undefined };
    assert.equal(summarize([peer, sample('holdfast', 1, 2, 90)], ['full'])[0]?.ratios[0]?.stored, undefined);
    assert.deepEqual(summarize([peer], ['full'])[0]?.ratios, []);
  });

  it('tells what a store that is far away costs, round by round', () => {
    const round = (near: number, far: number) => ({
      backupSeconds: { near, far },
      restoreSeconds: { near: 2 * near, far: 2 * far },
      requests: { near: 100, far: 100 },
    });
    const far = { storeVersion: '20.2.4', rounds: [round(4, 5), round(8, 8), round(5, 6)] };
    const report = formatReport({ ...resultsOf([sample('holdfast', 1, 2, 90)]), far });
    assert.match(report, /over S3 \(Ceph 20\.2\.4\), each answer 50 ms later/);
    assert.match(
      report,
      /\| backup, wall s \| 5\.00 \(4\.00–8\.00\) \| 6\.00 \(5\.00–8\.00\) \| 1\.20 \(1\.00–1\.25\) \|/,
    );
    assert.match(report, /\| requests \| 100 \| 100 \| 1\.00 \|/);
  });

  it('says how many runs other programs have disturbed', () => {
    const disturbed = { ...sample('holdfast', 1, 2, 90), otherCpuSeconds: 100 };
    const report = formatReport(resultsOf([disturbed, sample('pgbackrest', 1, 2, 90)]));
    assert.match(report, /\*\*Disturbed\*\*: in 1 of 2 runs/);
  });
});

/** Only what the test is about differs between samples. */
function sample(contender: ContenderName, round: number, seconds: number, storedBytes: number): Sample {
  return {
    row: 'full',
    contender,
    version: '1.0',
    setup: 'as it comes',
    round,
    storedBytes,
    wallSeconds: seconds,
    machineCpuSeconds: seconds,
    otherCpuSeconds: 0,
    peakMemoryBytes: 1024 * 1024,
  };
}

function resultsOf(samples: Sample[]): BenchResults {
  return {
    measuredAt: '2026-11-23T00:00:00.000Z',
    machine: readMachineFacts('18.6'),
    dataSet: { scale: 1, bytes: 3e9 },
    rounds: 3,
    rows: summarize(samples, ['full']),
    far: null,
    samples,
  };
}
