import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatReport } from './report.ts';
import { type BenchResults, readMachineFacts, summarize } from './results.ts';
import type { BenchRow, Sample } from './row.ts';

const row: BenchRow = {
  name: 'full-stream',
  title: 'everything, over the line',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.8, cpu: 0.7 } }],
  run: async () => {},
};

describe('the report of a bench', () => {
  it('divides ours by theirs, round by round, gives medians with their spread, and says which aims were reached', () => {
    const samples = [
      ...[sample('pgbackrest', 1, 2, 100), sample('pgbackrest', 2, 4, 100), sample('pgbackrest', 3, 8, 100)],
      ...[sample('holdfast', 3, 4, 90), sample('holdfast', 1, 2, 90), sample('holdfast', 2, 3, 90)],
    ];
    const [ratio] = summarize(row, samples, []).ratios;
    assert.deepEqual(ratio?.wall, { median: 0.75, min: 0.5, max: 1 });
    assert.deepEqual(ratio?.machineCpu, { median: 0.75, min: 0.5, max: 1 });
    assert.deepEqual(ratio?.stored, { median: 0.9, min: 0.9, max: 0.9 });
    const report = formatReport(resultsOf(samples));
    assert.match(report, /\| holdfast 1\.0 +\| 3\.00 \(2\.00–4\.00\) /);
    assert.match(report, /\| holdfast \/ pgbackrest \| 0\.75 \(0\.50–1\.00\) /);
    assert.match(report, /\| aim +\| 0\.8: reached +\| 0\.7: not reached +\| +\| +\| +\|/);
    assert.doesNotMatch(report, /Disturbed/);
  });

  it('compares no bytes with a peer that stores none, and nothing when ours did not run', () => {
    const peer = { ...sample('pgbackrest', 1, 1, 0), storedBytes: undefined };
    assert.equal(summarize(row, [peer, sample('holdfast', 1, 2, 90)], []).ratios[0]?.stored, undefined);
    assert.deepEqual(summarize(row, [peer], []).ratios, []);
  });

  it('gives what each GiB took where sizes are compared, and memory as it is', () => {
    const small = { ...sample('pgbackrest', 1, 2, 100), sourceBytes: 2 ** 30 };
    const large = { ...sample('holdfast', 1, 10, 600), sourceBytes: 2 ** 32, peakMemoryBytes: 3 << 20 };
    const [ratio] = summarize(row, [small, large], []).ratios;
    assert.deepEqual([ratio?.wall.median, ratio?.runCpu.median, ratio?.stored?.median], [1.25, 1.25, 1.5]);
    assert.equal(ratio?.peakMemory.median, 3);
    const report = formatReport(resultsOf([small, large]));
    assert.match(report, /\| wall s\/GiB +\| machine CPU s\/GiB /);
    assert.match(report, /\| holdfast 1\.0 +\| 2\.50 +\| 2\.50 /);
  });

  it('says how many runs other programs have disturbed', () => {
    const disturbed = { ...sample('holdfast', 1, 2, 90), otherCpuSeconds: 100 };
    const report = formatReport(resultsOf([disturbed, sample('pgbackrest', 1, 2, 90)]));
    assert.match(report, /\*\*Disturbed\*\*: in 1 of 2 runs/);
  });
});

/** Only what the test is about differs between samples. */
function sample(contender: string, round: number, seconds: number, storedBytes: number): Sample {
  return {
    ...{ row: row.name, contender, version: '1.0', setup: 'as it comes', round, storedBytes, sourceBytes: undefined },
    ...{ wallSeconds: seconds, machineCpuSeconds: seconds, otherCpuSeconds: 0, peakMemoryBytes: 1 << 20 },
  };
}

function resultsOf(samples: Sample[]): BenchResults {
  return {
    measuredAt: '2026-11-23T00:00:00.000Z',
    machine: readMachineFacts('18.6'),
    dataSet: { scale: 1, bytes: 3e9 },
    rounds: 3,
    rows: [summarize(row, samples, ['A note.'])],
    samples,
  };
}
