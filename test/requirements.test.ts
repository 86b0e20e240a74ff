import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listRequirements, whyNotThere } from './support/requirements.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const table = readFileSync(`${root}docs/requirements.md`, 'utf8');

const readFromCheckout = (path: string): string | undefined =>
  existsSync(`${root}${path}`) ? readFileSync(`${root}${path}`, 'utf8') : undefined;

describe('docs/requirements.md', () => {
  it('lists R1 to R183, each once and in order', () => {
    const numbers = listRequirements(table).map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 183 }, (_, place) => place + 1),
    );
  });

  it('names only proofs that are there', () => {
    const missing = listRequirements(table).flatMap(({ number, proofs }) =>
      proofs.flatMap((proof) => {
        const why = whyNotThere(proof, readFromCheckout);
        return why === undefined ? [] : [`R${number}: ${proof}: ${why}`];
      }),
    );
    assert.equal(missing.length, 0, missing.join('\n'));
  });
});

describe('reading the table of requirements', () => {
  it('gives the proofs of a row, and none for "nothing yet"', () => {
    const rows = `
| | what is asked | proved by |
|---|---|---|
| R1 | Something. | nothing yet |
| R2 | Something else. | test/a.test.ts › does it \\| well<br>\`npm run demo\` (in part) |
`;
    assert.deepEqual(listRequirements(rows), [
      { number: 1, proofs: [] },
      { number: 2, proofs: ['test/a.test.ts › does it | well', 'npm run demo'] },
    ]);
  });

  it('takes an empty cell for a proof that is missing', () => {
    const [row] = listRequirements('| R1 | Something. | |');
    assert.deepEqual(row, { number: 1, proofs: [''] });
    assert.match(String(whyNotThere('', () => undefined)), /neither a test nor a command/);
  });
});

describe('looking for a proof', () => {
  const files: Record<string, string> = {
    'test/a.test.ts': `describe('a group', () => { it('does it', f); it("does it's part", f); it(\`in a template\`, f) });`,
    'package.json': '{"scripts":{"demo":"node demo"}}',
    'src/cli/commands/wal-status.ts': '',
    'src/cli/commands/backup.ts': '',
  };
  const why = (proof: string) => whyNotThere(proof, (path) => files[path]);

  it('finds tests by file and title, scripts and commands', () => {
    const there = ['does it', "does it's part", 'in a template', 'a group', 'a group › does it'].map(
      (title) => `test/a.test.ts › ${title}`,
    );
    for (const proof of [...there, 'npm run demo', 'holdfast wal status', 'holdfast backup', 'bin/holdfast backup']) {
      assert.equal(why(proof), undefined, proof);
    }
  });

  it('says what is missing', () => {
    assert.equal(why('test/b.test.ts › does it'), 'there is no such file');
    assert.equal(why('test/a.test.ts › does'), 'the file has no test "does"');
    assert.equal(why('test/a.test.ts'), 'it names no test of the file');
    assert.equal(why('npm run nothing'), 'package.json has no script "nothing"');
    assert.equal(why('npm test'), 'package.json has no script "test"');
    assert.equal(why('holdfast fly'), 'there is no src/cli/commands/fly.ts');
    assert.match(String(why('a walk in the park')), /neither a test nor a command/);
  });
});
