import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findTests, type PartResult, root, runCommand, runTests } from './node-tests.ts';

/** What is quick enough to run before each commit: types, lint and format, the laws of the project, unit tests. */
export async function runCheckParts(): Promise<PartResult[]> {
  const tools = join(root, 'node_modules', '.bin');
  return [
    await runCommand('types', join(tools, 'tsc'), ['-p', '.']),
    await runCommand('lint and format', join(tools, 'biome'), ['check', '--error-on-warnings']),
    await runTests('laws', findTests('test/*.test.ts'), availableParallelism()),
    await runTests('unit', findTests('{src,examples,bench,campaign,bin}/**/*.test.ts'), availableParallelism()),
  ];
}
