import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages, whyNotDebian, writeLauncher } from './debian-packages.ts';
import { cacheDirectory, createOnce } from './postgres-binaries.ts';

const run = promisify(execFile);

/** Shells that a machine may lack, from Debian forky. */
export interface Shells {
  readonly zsh: string;
  readonly fish: string;
  /** Where zsh's modules and functions lie, for `module_path` and `fpath`. */
  readonly zshModules: string;
  readonly zshFunctions: string;
}

/** The reason to skip, or `false` where the shells can be fetched. */
export function whyNoShells(): string | false {
  const reason = whyNotDebian();
  if (reason === null) return false;
  process.stderr.write(`NOT TRIED IN ZSH AND FISH: ${reason}\n`);
  return reason;
}

/**
 * The shells, fetched into the cache when this is the first time.
 * Errors: those of `unpackDebianPackages`; any other when a shell does not start.
 */
export async function fetchShells(): Promise<Shells> {
  const directory = await createOnce(join(await cacheDirectory(), 'shells-1'), async (unfinished) => {
    await mkdir(join(unfinished, 'bin'), { recursive: true });
    const root = join(unfinished, 'root');
    await unpackDebianPackages({
      suite: 'forky',
      packages: ['zsh', 'libpcre2-32-0', 'libpcre2-8-0', 'libstdc++6'],
      // What else it depends on is for its own configuration pages.
      alone: ['fish', 'fish-common'],
      without: [],
      directory: root,
    });
    await writeLauncher(root, 'usr/bin/zsh', join(unfinished, 'bin', 'zsh'));
    await writeLauncher(root, 'usr/bin/fish', join(unfinished, 'bin', 'fish'));
  });
  const [zsh, fish] = [join(directory, 'bin', 'zsh'), join(directory, 'bin', 'fish')];
  for (const shell of [zsh, fish]) await run(shell, ['--version']);
  return {
    zsh,
    fish,
    zshModules: join(directory, 'root/usr/lib'),
    zshFunctions: join(directory, 'root/usr/share/zsh'),
  };
}
