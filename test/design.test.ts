import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { layers } from './support/architecture/law.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

it('each invariant of docs/design.md is held by a test file that is there', () => {
  const rows = readFileSync(`${root}docs/design.md`, 'utf8').matchAll(/^\| (I\d+) [^|]+\| (.*) \|$/gm);
  const named = [...rows].map(([, invariant, cell]) => ({
    invariant,
    files: [...(cell as string).matchAll(/`([^`]+\.ts)`/g)].map((match) => match[1] as string),
  }));
  assert.ok(named.length > 0);
  const missing = named.flatMap(({ invariant, files }) =>
    files.length === 0
      ? [`${invariant} names no test`]
      : files.filter((file) => !existsSync(`${root}${file}`)).map((file) => `${invariant}: there is no ${file}`),
  );
  assert.equal(missing.length, 0, missing.join('\n'));
});

it('every folder of src/ stands in the tree of docs/architecture.md', () => {
  const tree = /```\n([\s\S]*?)```/.exec(readFileSync(`${root}docs/architecture.md`, 'utf8'))?.[1] ?? '';
  const shown = layers.filter((layer) => tree.includes(`\n  ${layer.replace(/^([^.]+)$/, '$1/')} `));
  const there = layers.filter((layer) => existsSync(`${root}src/${layer}`));
  assert.deepEqual(
    there.filter((layer) => !shown.includes(layer)),
    [],
  );
});
