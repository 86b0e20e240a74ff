import { execFile } from 'node:child_process';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where the package lies in the server's workplace. */
const folder = 'holdfast';

/**
 * Builds and packs this checkout, and unpacks it in the workplace, with the packages that are installed here: what is measured is what a user
 * installs. Errors: a plain one with what npm said.
 */
export async function packHoldfast(workplace: string): Promise<void> {
  const place = join(workplace, folder);
  await mkdir(place);
  await run('npm', ['pack', '--pack-destination', place, '--loglevel=error'], { cwd: root });
  const [archive] = await readdir(place);
  if (archive === undefined) throw new Error('npm pack made no archive');
  await run('tar', ['-xzf', archive, '--strip-components=1'], { cwd: place });
  await symlink(join(root, 'node_modules'), join(place, 'node_modules'));
}

/** Lets another workplace have what was packed into this one, and the compiled code of it. */
export async function sharePackage(workplace: string, other: string): Promise<void> {
  await mkdir(compiledCode(workplace), { recursive: true });
  await symlink(join(workplace, folder), join(other, folder));
  await symlink(compiledCode(workplace), compiledCode(other));
}

/** Where Node keeps the compiled code of what is run from this workplace. */
export function compiledCode(workplace: string): string {
  return join(workplace, 'compiled');
}

/** The program of what was packed into this workplace. */
export function packedProgram(workplace: string): string {
  return join(workplace, folder, 'bin', 'holdfast');
}
