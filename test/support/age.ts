import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages, whyNotDebian, writeLauncher } from './debian-packages.ts';
import { cacheDirectory, createOnce } from './postgres-binaries.ts';

const run = promisify(execFile);

/** The reason to skip, or `false` where age can be fetched. */
export function whyNoAge(): string | false {
  const reason = whyNotDebian();
  if (reason === null) return false;
  process.stderr.write(`NOT TRIED WITH AGE: ${reason}\n`);
  return reason;
}

/** `age` and `age-keygen` of Debian forky, fetched into the cache when this is the first time. Errors: those of `unpackDebianPackages`. */
export async function fetchAge(): Promise<{ age: string; keygen: string }> {
  const directory = await createOnce(join(await cacheDirectory(), 'age-1'), async (unfinished) => {
    await mkdir(join(unfinished, 'bin'), { recursive: true });
    const root = join(unfinished, 'root');
    await unpackDebianPackages({ suite: 'forky', packages: ['age', 'libc6'], without: [], directory: root });
    for (const name of ['age', 'age-keygen']) {
      await writeLauncher(root, `usr/bin/${name}`, join(unfinished, 'bin', name));
    }
  });
  const [age, keygen] = [join(directory, 'bin', 'age'), join(directory, 'bin', 'age-keygen')];
  await run(age, ['--version']);
  return { age, keygen };
}
