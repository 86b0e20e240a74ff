import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, HoldfastError } from '../../lib/index.ts';

/**
 * Compares the signing key of a repository with the one that this host has seen before, and remembers it the first time. It never changes.
 *
 * It is what tells a slot that was planted for an age recipient or through a key service, when the true one is hidden. Where nothing can be written or
 * read, the host simply does not remember: in a disaster that must keep nobody from reading.
 * Errors: `KEY_SIGNER_CHANGED`.
 */
export async function rememberSigner(stateDirectory: string, repositoryId: string, signer: Buffer): Promise<void> {
  const directory = join(stateDirectory, 'signers');
  const path = join(directory, repositoryId);
  const found = signer.toString('hex');
  const known = await readIfThere(path);
  if (known === null) {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(path, `${found}\n`, { flag: 'wx', mode: 0o600 });
    } catch {
      // Another process was faster, or the directory is closed to us: what needs it tells so itself.
    }
    return;
  }
  if (known === found || !/^[0-9a-f]{64}$/.test(known)) return;
  throw new HoldfastError(
    'KEY_SIGNER_CHANGED',
    'cannot trust the keys of the repository: they are others than before',
    {
      detail: `Expected the signing key ${known}, which this host remembers in "${path}", found ${found}.`,
      hints: [
        'Compare it with the signing key in the recovery kit, and find out who could write to the store.',
        'Open the repository with a passphrase or a key file, which nobody can forge.',
      ],
    },
  );
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    // It cannot be read, so it says nothing.
    return '';
  }
}
