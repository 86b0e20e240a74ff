import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { comparePaths } from '../../repository/index.ts';
import { DirectorySweeper } from './directory-sweeper.ts';

/** Names that sort before and behind the slash, as a tree is sorted by bytes. */
const name = fc.constantFrom('a', 'a.b', 'a-c', 'a0', 'b', 'b b', 'c');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));

/** Files by their paths, without one that would have to be a file and a directory. */
function consistent(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)];
  return unique.filter((one) => !unique.some((other) => other.startsWith(`${one}/`)));
}

function parentsOf(file: string): string[] {
  const parents: string[] = [];
  for (let parent = dirname(file); parent !== '.'; parent = dirname(parent)) parents.push(parent);
  return parents;
}

function make(root: string, files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), file);
  }
}

function listFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

describe('sweeping a directory', () => {
  it('leaves exactly what was named, and what was spared, of any tree', async (test) => {
    const scratch = await scratchFor(test, 'sweep');
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(path, { maxLength: 25 }),
        fc.array(fc.boolean(), { maxLength: 25 }),
        async (paths, keeps) => {
          const root = join(scratch, String(run++));
          mkdirSync(join(root, 'spared'), { recursive: true });
          writeFileSync(join(root, 'spared', 'file'), '');
          const files = consistent(paths);
          make(root, files);
          const kept = files.filter((_, i) => keeps[i] === true);
          const sweeper = new DirectorySweeper(root, ['spared']);
          const named = [
            ...kept.map((file) => ({ path: file, type: 'file' as const })),
            ...[...new Set(kept.flatMap(parentsOf))].map((directory) => ({
              path: directory,
              type: 'directory' as const,
            })),
          ].sort((a, b) => comparePaths(a.path, b.path));
          for (const entry of named) {
            // What is named is there when it is named, and is not taken away by what comes behind.
            assert.ok(existsSync(join(root, entry.path)), `${entry.path} was swept too early`);
            await sweeper.keep(entry.path, entry.type);
          }
          await sweeper.finish();
          assert.deepEqual(listFiles(root), [...kept, 'spared/file'].sort());
          await rm(root, { recursive: true });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('empties a directory that is named without any content, and never follows a link', async (test) => {
    const scratch = await scratchFor(test, 'sweep');
    const [root, outside] = [join(scratch, 'root'), join(scratch, 'outside')];
    make(root, ['empty/left', 'data/kept']);
    make(outside, ['precious']);
    symlinkSync(outside, join(root, 'link'));
    symlinkSync(outside, join(root, 'empty', 'link'));
    const sweeper = new DirectorySweeper(root, []);
    await sweeper.keep('data', 'directory');
    await sweeper.keep('data/kept', 'file');
    await sweeper.keep('empty', 'directory');
    await sweeper.finish();
    assert.deepEqual(readdirSync(root).sort(), ['data', 'empty']);
    assert.deepEqual(readdirSync(join(root, 'empty')), []);
    assert.deepEqual(readdirSync(outside), ['precious']);
  });
});
