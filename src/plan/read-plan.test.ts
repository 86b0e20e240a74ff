import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { findPlanFile } from './find-plan.ts';
import { readPlanFile } from './read-plan.ts';

const libraryUrl = new URL('./define-plan.ts', import.meta.url).href;

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-plan-'));
});
after(() => rm(directory, { recursive: true, force: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
}

describe('a plan as a module', () => {
  it('imports "holdfast" from the running package, wherever it lies, without a warning', async () => {
    const path = await write(
      'far/holdfast.config.ts',
      `import { definePlan } from 'holdfast';
       const name: string = 'shop';
       export default definePlan({ clusters: [{ name }], repository: { primary: '/backups' } });`,
    );
    // A process of its own, as warnings go to its standard error.
    const script = `const { readPlanFile } = await import(process.argv[1]);
      console.log(JSON.stringify(await readPlanFile(process.argv[2], process.argv[3])));`;
    const reader = new URL('./read-plan.ts', import.meta.url).href;
    const arguments_ = ['--input-type=module', '--eval', script, reader, path, libraryUrl];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, arguments_);
    assert.deepEqual(JSON.parse(stdout), { clusters: [{ name: 'shop' }], repository: { primary: '/backups' } });
    assert.equal(stderr, '');
  });

  it('may be plain JavaScript and may import files beside it', async () => {
    await write('js/name.js', `export const name = 'shop';`);
    const path = await write(
      'js/holdfast.config.js',
      `import { name } from './name.js'; export default { clusters: [{ name }] };`,
    );
    assert.deepEqual(await readPlanFile(path, libraryUrl), { clusters: [{ name: 'shop' }] });
  });

  it('that does not parse, throws, or exports nothing is refused with the place', async () => {
    const cases: [string, string, RegExp][] = [
      ['syntax.ts', 'export default {', /syntax\.ts|Unexpected|Expression/],
      ['throws.ts', `\nthrow new Error('no luck');`, /no luck \(line 2\)/],
      ['nothing.ts', `export const plan = {};`, /no default export/],
      ['broken.json', '{"cluster": }', /Unexpected token/],
    ];
    for (const [name, text, detail] of cases) {
      await assert.rejects(readPlanFile(await write(`wrong/${name}`, text), libraryUrl), (error) => {
        assert.ok(error instanceof Error && 'code' in error && 'detail' in error);
        assert.equal(error.code, 'PLAN_UNREADABLE');
        assert.match(String(error.detail), detail);
        return true;
      });
    }
  });
});

describe('the search for a plan', () => {
  it('finds the one in the working directory, or none', async () => {
    const path = await write('one/holdfast.config.json', '{}');
    assert.equal(await findPlanFile(undefined, join(directory, 'one')), path);
    await mkdir(join(directory, 'none'));
    assert.equal(await findPlanFile(undefined, join(directory, 'none')), null);
  });

  it('refuses two plans beside each other', async () => {
    await write('two/holdfast.config.ts', '');
    await write('two/holdfast.config.json', '{}');
    await assert.rejects(findPlanFile(undefined, join(directory, 'two')), { code: 'PLAN_AMBIGUOUS' });
  });

  it('refuses a YAML plan by name instead of overlooking it', async () => {
    await write('yaml/holdfast.config.yaml', '');
    await assert.rejects(findPlanFile(undefined, join(directory, 'yaml')), {
      code: 'PLAN_FORMAT_UNSUPPORTED',
      message: /holdfast\.config\.yaml/,
    });
  });

  it('refuses a named plan that is not there', async () => {
    await assert.rejects(findPlanFile('absent.ts', directory), { code: 'PLAN_NOT_FOUND' });
  });
});
