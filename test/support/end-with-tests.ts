import type { ChildProcess } from 'node:child_process';
import { after } from 'node:test';

const running = new Set<ChildProcess>();

const endAll = () => {
  for (const child of running) child.kill('SIGKILL');
};

// A process that a test has left, because it failed, would keep the whole file waiting: its exit comes only once nothing runs any more.
// Outside of a test run a hook would begin one.
if (process.env.NODE_TEST_CONTEXT !== undefined) after(endAll);

/** Kills a process that still runs when the tests of the file are over, or when this process ends before. */
export function endWithTests(child: ChildProcess): void {
  if (running.size === 0) process.once('exit', endAll);
  running.add(child);
  child.once('close', () => {
    running.delete(child);
    if (running.size === 0) process.off('exit', endAll);
  });
}
