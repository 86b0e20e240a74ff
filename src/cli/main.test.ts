import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const holdfast = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

/** Runs a line that fails at once, with one of its outputs on a device that is always full. */
async function runFull(full: 'stdout' | 'stderr'): Promise<{ code: number | null; other: string }> {
  await using device = await open('/dev/full', 'w');
  const child = spawn(holdfast, ['show', '--json'], {
    stdio: ['ignore', full === 'stdout' ? device.fd : 'pipe', full === 'stderr' ? device.fd : 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const other = await text((full === 'stdout' ? child.stderr : child.stdout)!);
  return { code: await ended, other };
}

describe('an output that cannot be written', { skip: process.platform !== 'linux' && '/dev/full is Linux’s' }, () => {
  it('is told without a stack trace', async () => {
    const { code, other } = await runFull('stdout');
    assert.equal(code, 1);
    assert.match(other, /^error: could not write the output: ENOSPC/m);
    assert.doesNotMatch(other, /^\s+at /m);
  });

  it('does not end the work when it only tells how that goes', async () => {
    const { code, other } = await runFull('stderr');
    assert.equal(code, 2);
    assert.equal((JSON.parse(other) as { error: { code: string } }).error.code, 'USAGE_INVALID');
  });
});
