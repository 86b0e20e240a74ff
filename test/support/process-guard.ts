import { type ChildProcess, spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * Ends a server and removes its directory when the process that started it is gone, however it went.
 *
 * A handler for `exit` or a signal would not run after `kill -9`, and a test runner that is out of patience kills so.
 * The guard is a small shell process in a session of its own, which reads from a pipe: the kernel closes the other end
 * with our process, whatever ended it.
 */
export interface ProcessGuard {
  /** Says which processes to end, `undefined` when there is none at the moment. */
  watch(pids: number | readonly number[] | undefined): void;
  /** Ends the guard; from here on nothing is cleaned up by it. */
  dismiss(): void;
}

/** Ten seconds after the signal nothing is spared. */
const script = `
trap '' INT TERM HUP
pids=
while read -r line; do pids=$line; done
for pid in $pids; do kill "-$2" "$pid" 2>/dev/null; done
waited=0
for pid in $pids; do
  while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 100 ]; do sleep 0.1; waited=$((waited + 1)); done
  kill -KILL "$pid" 2>/dev/null
done
[ -z "$1" ] || rm -rf -- "$1"
`;

/**
 * Starts a guard; `ownedDirectory` is removed by it when our process dies. SIGQUIT is PostgreSQL's immediate stop, which takes its children
 * along; what has no children may as well be killed.
 */
export function startProcessGuard(ownedDirectory: string | undefined, signal: 'QUIT' | 'KILL' = 'QUIT'): ProcessGuard {
  const words = ['-c', script, 'holdfast-test-guard', ownedDirectory ?? '', signal];
  const guard: ChildProcess = spawn('/bin/sh', words, {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  const pipe = guard.stdin as Writable & { unref(): void };
  pipe.unref();
  // The guard may be gone before the pipe is: dismissing it is the ordinary end.
  pipe.on('error', () => {});
  return {
    watch: (pids) => void pipe.write(`${typeof pids === 'object' ? pids.join(' ') : (pids ?? '')}\n`),
    dismiss: () => {
      guard.kill('SIGKILL');
      pipe.destroy();
    },
  };
}
