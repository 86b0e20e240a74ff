import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Put together here, as this file is one of those that are read. */
const unfinished = new RegExp(['TO', 'FIX'].map((start, place) => `${start}${['DO', 'ME'][place]}`).join('|'));

it('no file of the code says that something is still to be done', () => {
  const paths = globSync('{src,test,examples,bench,campaign,bin}/**/*', { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => `${entry.parentPath}/${entry.name}`);
  assert.ok(paths.length > 0);
  const lines = paths.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .flatMap((line, place) =>
        unfinished.test(line) ? [`${path.slice(root.length)}:${place + 1}: ${line.trim()}`] : [],
      ),
  );
  assert.deepEqual(lines, []);
});
