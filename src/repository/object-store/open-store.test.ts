import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const folder = new URL('./index.ts', import.meta.url).href;

/** Opens a store in a process of its own, and gives the packages of providers that this alone has loaded. */
async function findLoaded(location: string): Promise<string[]> {
  const program = `
    import { registerHooks } from 'node:module';
    const seen = new Set();
    registerHooks({
      resolve: (specifier, context, next) => {
        if (/^@(aws-sdk|smithy|azure)\\b/.test(specifier)) seen.add(specifier);
        return next(specifier, context);
      },
    });
    const { openStore } = await import(${JSON.stringify(folder)});
    openStore(${JSON.stringify(location)});
    console.log(JSON.stringify([...seen]));
  `;
  const words = ['--conditions=holdfast-source', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, words, {
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
  });
  return JSON.parse(stdout) as string[];
}

describe('opening a store', () => {
  it('loads nothing of a provider before the first call, so that no command waits for what it does not use', async () => {
    for (const location of ['/var/lib/holdfast', 's3://bucket/prefix']) {
      assert.deepEqual(await findLoaded(location), []);
    }
  });
});
