import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { nobody } from './scratch.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What the command line needs to run from its sources. */
const parts = [
  'bin',
  'package.json',
  'src',
  'node_modules/.holdfast-installed',
  'toolchain/node_modules/.holdfast-installed',
];
const packages = ['@node-rs', 'canonicalize', 'commander', 'qrcode-generator', 'zod'];

/**
 * Copies the command line, with the Node that runs us, into a new directory that everybody can read, as the checkout may be closed to the user
 * as whom a server runs. Gives the path of `holdfast` there.
 */
export async function copyForEverybody(directory: string): Promise<string> {
  for (const part of [...parts, ...packages.map((name) => `node_modules/${name}`)]) {
    await cp(join(root, part), join(directory, part), { recursive: true, verbatimSymlinks: true });
  }
  const [platform] = (await readdir(join(root, 'toolchain/node_modules'))).filter((name) => name.startsWith('node-'));
  const node = join(directory, 'toolchain/node_modules', platform ?? 'node-here', 'bin/node');
  await mkdir(dirname(node), { recursive: true });
  await cp(process.execPath, node);
  await promisify(execFile)('chmod', ['-R', 'a+rX', directory]);
  await chmod(node, 0o755);
  return join(directory, 'bin/holdfast');
}

/** For `CommandSurroundings.through`: runs that copy in the place of the checkout's command line, as "nobody". */
export function asNobody(holdfast: string): string[] {
  const user = [`--reuid=${nobody.uid}`, `--regid=${nobody.gid}`, '--clear-groups'];
  return ['setpriv', ...user, '/bin/sh', '-c', `shift; exec '${holdfast}' "$@"`, 'sh'];
}
