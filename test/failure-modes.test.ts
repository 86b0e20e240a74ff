import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listFailureModes } from './support/failure-modes.ts';
import { whyNotThere } from './support/requirements.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const page = readFileSync(`${root}docs/failure-modes.md`, 'utf8');
const modes = listFailureModes(page);

const readFromCheckout = (path: string): string | undefined =>
  existsSync(`${root}${path}`) ? readFileSync(`${root}${path}`, 'utf8') : undefined;

describe('docs/failure-modes.md', () => {
  it('says of each failure what is done, seen and lost, and what to do', () => {
    assert.ok(modes.length > 0);
    const thin = modes.filter(({ cells }) => cells.length !== 6 || cells.includes(''));
    assert.deepEqual(
      thin.map(({ cells }) => cells[0]),
      [],
    );
  });

  it('names only tests that are there', () => {
    const missing = modes.flatMap(({ cells, proofs }) =>
      proofs.flatMap((proof) => {
        const why = whyNotThere(proof, readFromCheckout);
        return why === undefined ? [] : [`${cells[0]}: ${proof}: ${why}`];
      }),
    );
    assert.equal(missing.length, 0, missing.join('\n'));
  });

  it('names only errors that docs/errors.md explains', () => {
    const explained = readFileSync(`${root}docs/errors.md`, 'utf8');
    const named = page.match(/`[A-Z]+(?:_[A-Z]+)+`/g)!.map((code) => code.replaceAll('`', ''));
    const unknown = named.filter((code) => !code.startsWith('HOLDFAST_') && !explained.includes(`### ${code}\n`));
    assert.deepEqual(unknown, []);
  });
});

describe('reading the tables of failures', () => {
  it('gives the cells and the proofs of each row, and neither heads nor lines', () => {
    const table = [
      '| what goes wrong | does | see | lost | do | shown by |',
      '|---|---|---|---|---|---|',
      '| It \\| that. | a | b | c | d | `test/a.test.ts › one`<br>`npm run demo` |',
    ];
    assert.deepEqual(listFailureModes(table.join('\n')), [
      {
        cells: ['It | that.', 'a', 'b', 'c', 'd', '`test/a.test.ts › one`<br>`npm run demo`'],
        proofs: ['test/a.test.ts › one', 'npm run demo'],
      },
    ]);
  });
});
