import { spawn } from 'node:child_process';

/**
 * Cleans up after a demo that could not do it itself, as after `kill -9`: ends every process whose pid file lies in the
 * demo's directory, then removes the directory.
 *
 * It is a small shell process in a session of its own that reads from a pipe, the other end of which the kernel closes
 * with our process. PostgreSQL writes its pid file itself; SIGQUIT is its immediate stop, which takes its children along.
 */
const script = `
trap '' INT TERM HUP QUIT
cat >/dev/null
pids=
for file in "$1"/*.pid "$1"/*/*.pid "$1"/*/*/*.pid; do
  pid=
  [ -f "$file" ] && read -r pid < "$file"
  case $pid in '' | *[!0-9]*) ;; *) pids="$pids $pid"; kill -QUIT "$pid" 2>/dev/null ;; esac
done
for pid in $pids; do
  waited=0
  while kill -0 "$pid" 2>/dev/null && [ "$waited" -lt 100 ]; do sleep 0.1; waited=$((waited + 1)); done
  kill -KILL "$pid" 2>/dev/null
done
for attempt in 1 2 3 4 5; do
  rm -rf -- "$1" && break
  sleep 0.2
done
`;

/** Starts to watch over a directory; the function that it gives ends the watch without cleaning anything up. */
export function guardDirectory(directory: string): () => void {
  const guard = spawn('/bin/sh', ['-c', script, 'wishcraft-demo-guard', directory], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  const pipe = guard.stdin;
  // The guard may be gone before the pipe is: dismissing it is the ordinary end.
  pipe.on('error', () => {});
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  return () => {
    guard.kill('SIGKILL');
    pipe.destroy();
  };
}
