import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { SystemUser } from './isolation.ts';

const run = promisify(execFile);

/** It answers at once, or something is wrong with it. */
const ANSWER_WAIT_MS = 10_000;

/**
 * The words to put in front of a program so that it runs in a network namespace of its own, in which there is no network at all, not even
 * 127.0.0.1; null where the system does not make one for us: not Linux, most containers, or a kernel that forbids it to users. Unix sockets in
 * the file system are reached from outside all the same, and the process keeps its number.
 *
 * `user` is whom the program runs as when we are root: only root makes a namespace directly, so that it gives up its rights afterwards.
 */
export async function findNamespaceLauncher(user: SystemUser | undefined): Promise<readonly string[] | null> {
  const launcher =
    user === undefined
      ? ['unshare', '--user', '--map-current-user', '--net', '--']
      : ['unshare', '--net', `--setgid=${user.gid}`, `--setuid=${user.uid}`, '--'];
  const [program, ...words] = launcher;
  try {
    await run(program!, [...words, 'true'], { timeout: ANSWER_WAIT_MS });
    return launcher;
  } catch {
    // Safe: without a namespace the server still listens on nothing but its private socket, and the caller is told.
    return null;
  }
}
