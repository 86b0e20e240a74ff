import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { measureCommand } from './measure.ts';
import { listTree, readMachineCpuSeconds, readPeakMemoryBytes, readProcessCpu } from './processes.ts';

describe('what /proc says of processes', {
  skip: process.platform === 'linux' ? false : 'only Linux has /proc',
}, () => {
  it('counts the time that we burn as ours and as the machine’s', () => {
    const [machine, own] = [readMachineCpuSeconds(), readProcessCpu('self').ownSeconds];
    const until = performance.now() + 300;
    while (performance.now() < until) JSON.parse('[1, 2, 3]');
    // Processor time, not wall time: a busy machine gives less than what passed, never none of it.
    assert.ok(readProcessCpu('self').ownSeconds > own);
    assert.ok(readMachineCpuSeconds() > machine);
  });

  it('knows the children of a process, and nothing of one that has ended', async () => {
    const child = spawn('sleep', ['60']);
    const pid = child.pid ?? -1;
    assert.ok(listTree(process.pid).includes(pid));
    assert.ok(readPeakMemoryBytes(pid) > 0);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await ended;
    assert.ok(!listTree(process.pid).includes(pid));
    assert.equal(readPeakMemoryBytes(pid), 0);
  });

  it('sees the memory of a measured program, and reports one that fails with what it said', async () => {
    const filled = 'Buffer.alloc(64 << 20, 1); setTimeout(() => {}, 300)';
    const { peakMemoryBytes } = await measureCommand({ program: process.execPath, args: ['-e', filled] }, process.pid);
    assert.ok(peakMemoryBytes > 64 << 20);
    await assert.rejects(
      measureCommand({ program: 'sh', args: ['-c', 'echo no room >&2; exit 7'] }, process.pid),
      /exit code 7:\nno room/,
    );
  });
});
