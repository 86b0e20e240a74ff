import { accessSync, constants, statSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The user and group "nobody", as whom servers run when the tests run as root, which PostgreSQL refuses. */
export const nobody = { uid: 65534, gid: 65534 };

/** True when servers have to run as somebody else than the tests. */
export const runsAsRoot = process.getuid?.() === 0;

/**
 * The directory under which caches and scratch directories are made.
 *
 * `/var/tmp` first: it is on a real disk, every user can walk into it, and its name is short enough for a Unix socket
 * (107 bytes at most), which the per-user directory of macOS is not.
 */
export function scratchRoot(): string {
  try {
    accessSync('/var/tmp', constants.W_OK | constants.X_OK);
    return '/var/tmp';
  } catch {
    // Not there or closed to us: the system's own choice serves as well, only with longer names.
    return tmpdir();
  }
}

/** Makes a fresh directory that a server running as "nobody" can walk into; whoever asks for it removes it. */
export async function makeScratchDirectory(purpose: string): Promise<string> {
  const directory = await mkdtemp(join(scratchRoot(), `holdfast-${purpose}-`));
  if (runsAsRoot) await chmod(directory, 0o755);
  return directory;
}

/** The first directory on the way to `path` that "nobody" cannot walk through, `undefined` when the way is open. */
export function closedToNobody(path: string): string | undefined {
  for (let directory = dirname(path); directory !== dirname(directory); directory = dirname(directory)) {
    if ((statSync(directory).mode & 0o001) === 0) return directory;
  }
  return undefined;
}
