import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { findUndocumented } from '../support/documented-members.ts';
import { commitAll } from '../support/git-checkout.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const asWritten = fileURLToPath(new URL('../../examples/wishcraft/as-written.config.ts', import.meta.url));
const mended = fileURLToPath(new URL('../../examples/wishcraft/holdfast.config.ts', import.meta.url));

interface LintDocument {
  well: boolean;
  counts: { error: number; warning: number; accepted: number };
  findings: { id: string; places: { option: string; line: number | null }[]; accepted: { who: string } | null }[];
}

interface DiffDocument {
  same: boolean;
  before: unknown;
  differences: { option: string; before: { value: unknown } | null; after: { value: unknown } | null }[];
}

describe('the commands about the plan', () => {
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('plan');
  });
  after(async () => {
    await rm(scratch, { recursive: true, force: true });
  });

  it('lint ends with 3 for errors, with 0 for none, and with 2 for a plan that cannot be read', async () => {
    const wrong = await runHoldfast(['plan', 'lint', '--json', '--plan', asWritten]);
    assert.equal(wrong.code, 3, wrong.stderr);
    const document = documentOf<LintDocument>(wrong);
    assert.deepEqual(await findUndocumented('plan lint', document), []);
    assert.deepEqual(await findUndocumented('plan lint', document.findings[0]!), []);
    assert.equal(document.well, false);
    assert.equal(document.findings[0]?.id, 'C1');
    assert.ok(document.findings[0]?.places.every(({ line }) => typeof line === 'number'));

    const right = await runHoldfast(['plan', 'lint', '--plan', mended]);
    assert.equal(right.code, 0, right.stderr);
    assert.match(right.stdout, /No error was found; 0 warnings, \d+ notes \(--all shows them\)\.\n$/);

    await writeFile(join(scratch, 'bad.json'), JSON.stringify({ clusters: [{ name: 'shop', regoin: 'east' }] }));
    const bad = await runHoldfast(['plan', 'lint', '--plan', join(scratch, 'bad.json')]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /bad\.json:\d+\): Unrecognized option\. Did you mean "region"\?/);

    const none = await runHoldfast(['plan', 'lint'], { directory: scratch });
    assert.equal(none.code, 2);
    assert.match(none.stderr, /cannot find a plan/);
  });

  it('lint ends with 0 when somebody answers for every error, and shows them still', async () => {
    const plan = {
      clusters: [{ name: 'shop' }],
      repository: { primary: 's3://shop/a' },
      contacts: [{ name: 'ann', phone: '+1 202 555 0101' }],
      schedules: [{ name: 'nightly', job: 'full', when: '0 2 * * *' }],
      acceptedRisks: [{ finding: 'too-few-places', who: 'ann', why: 'A trial.', until: '9999-12-31' }],
    };
    const file = join(scratch, 'accepted.json');
    await writeFile(file, JSON.stringify(plan));
    const run = await runHoldfast(['plan', 'lint', '--plan', file]);
    assert.equal(run.code, 0, run.stdout);
    assert.match(run.stdout, /too-few-places[\s\S]*until 9999-12-31 by ann: A trial\.[\s\S]*1 accepted risk\./);
  });

  it('show tells each value with where it was read, and no secret', async () => {
    const file = join(scratch, 'shown.json');
    await writeFile(file, '{\n  "clusters": [{ "name": "shop" }],\n  "objectives": { "rto": "1h" }\n}');
    const environment = { DATABASE_URL: 'postgresql://ann:sesame@db/shop', HOLDFAST_REPOSITORY: '/backups/shop' };
    const run = await runHoldfast(['plan', 'show', '--json', '--plan', file], { environment });
    assert.equal(run.code, 0, run.stderr);
    assert.doesNotMatch(run.stdout, /sesame/);
    const document = documentOf<{
      options: { option: string; value: unknown; origin: string | null; line: number | null }[];
    }>(run);
    assert.deepEqual(await findUndocumented('plan show', document), []);
    assert.deepEqual(await findUndocumented('plan show', document.options[0]!), []);
    const find = (name: string) => {
      const { value, origin, line } = document.options.find(({ option }) => option === name)!;
      return [value, origin, line];
    };
    assert.deepEqual(find('objectives.rto'), ['1h', file, 3]);
    assert.deepEqual(find('objectives.detection'), ['2m', null, null]);
    assert.deepEqual(find('repository.primary.location'), [
      '/backups/shop',
      'environment variable HOLDFAST_REPOSITORY',
      null,
    ]);
    assert.deepEqual(find('cluster.connection'), [{ env: 'DATABASE_URL' }, 'environment variable DATABASE_URL', null]);

    const part = await runHoldfast(['plan', 'show', 'objectives', '--given', '--plan', file]);
    assert.match(part.stdout, /objectives\.rto +line 3 +1h\n$/);
  });

  it('diff compares with another file by what is meant', async () => {
    const run = await runHoldfast(['plan', 'diff', asWritten, '--exit-code', '--json', '--plan', mended]);
    assert.equal(run.code, 3, run.stderr);
    const document = documentOf<DiffDocument>(run);
    assert.deepEqual(await findUndocumented('plan diff', document), []);
    assert.deepEqual(await findUndocumented('plan diff', document.differences[0]!), []);
    const find = (name: string) => document.differences.find(({ option }) => option === name);
    assert.deepEqual(find('scenarios.regional-outage.rto')?.before?.value, '2h');
    assert.deepEqual(find('scenarios.regional-outage.rto')?.after?.value, '1h');
    assert.equal(find('functions.registry-access.rto'), undefined);

    const same = await runHoldfast(['plan', 'diff', mended, '--exit-code', '--plan', mended]);
    assert.equal(same.code, 0, same.stdout);
  });

  it('diff compares with a revision of git, with what the plan imports of that revision', async () => {
    const checkout = join(scratch, 'checkout');
    await mkdir(join(checkout, 'deep/parts'), { recursive: true });
    const file = join(checkout, 'deep/holdfast.config.ts');
    const part = join(checkout, 'deep/parts/promises.ts');
    const planOf = (probe: string) =>
      [
        "import { definePlan } from 'holdfast';",
        "import { objectives } from './parts/promises.ts';",
        `export default definePlan({ clusters: [], repository: { primary: '/a' }, objectives, probes: [{ name: '${probe}', url: 'https://a.example' }] });`,
      ].join('\n');
    await writeFile(part, "export const objectives: object = { rto: '1h' };\n");
    await writeFile(file, planOf('old'));
    const commit = await commitAll(checkout, 'Promise an hour');
    await writeFile(part, "export const objectives: object = { rto: '30m' };\n");
    await writeFile(file, planOf('old'));

    const run = await runHoldfast(['plan', 'diff', '--git', 'HEAD', '--json', '--plan', file]);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(run.stderr, '');
    const { before: other, differences } = documentOf<DiffDocument>(run);
    assert.deepEqual(other, { revision: 'HEAD', commit });
    assert.deepEqual(
      differences.map(({ option, before, after }) => [option, before?.value, after?.value]),
      [['objectives.rto', '1h', '30m']],
    );

    const absent = await runHoldfast(['plan', 'diff', '--git', 'no-such-branch', '--plan', file]);
    assert.equal(absent.code, 2);
    assert.match(absent.stderr, /cannot read the plan .* at revision "no-such-branch"/);
    const both = await runHoldfast(['plan', 'diff', asWritten, '--git', 'HEAD', '--plan', file]);
    assert.equal(both.code, 2);
    assert.match(both.stderr, /found both/);
  });
});
