import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { type LoadOptions, loadPlan } from './load-plan.ts';
import { PlanError } from './plan-error.ts';
import { planSchema } from './schema/index.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-plan-'));
});
after(() => rm(directory, { recursive: true, force: true }));

type Changes = Partial<Omit<LoadOptions, 'machine'>> & { environment?: Record<string, string> };

function load(changes: Changes = {}) {
  const { environment = {}, ...rest } = changes;
  return loadPlan({
    directory,
    flags: {},
    needs: {},
    libraryUrl: new URL('./define-plan.ts', import.meta.url).href,
    machine: { cores: 3, homeDirectory: '/home/ann', isRoot: false, environment },
    ...rest,
  });
}

let planCount = 0;
async function writePlan(plan: unknown): Promise<string> {
  planCount += 1;
  const folder = join(directory, `plan-${planCount}`);
  await mkdir(folder);
  const file = join(folder, 'holdfast.config.json');
  await writeFile(file, JSON.stringify(plan));
  return file;
}

async function problemsOf(loading: Promise<unknown>): Promise<PlanError> {
  const error = await loading.then(
    () => assert.fail('the plan was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PlanError, inspect(error));
  return error;
}

describe('without a plan, flags or variables', () => {
  it('every option has its default and nothing is asked for', async () => {
    const { file, cluster, repository, stateDirectory, wal, backup } = await load();
    assert.deepEqual(
      { file, cluster, repository, stateDirectory, wal, backup },
      {
        file: null,
        cluster: { name: 'main', nameOrigin: null, connection: null },
        repository: { primary: null, copies: [], credential: null, protect: 'writes' },
        stateDirectory: '/home/ann/.local/state/holdfast',
        wal: { flushIntervalMs: 1_000, budgetBytes: 16 * 1024 ** 3 },
        backup: { workers: 3, compressionLevel: null, maxRate: null, checkpoint: 'spread' },
      },
    );
  });

  it('what is required is named with every way to give it, all at once', async () => {
    const needs = { connection: 'required', primary: 'required', copies: 'required', credential: 'required' } as const;
    const error = await problemsOf(load({ needs }));
    assert.deepEqual(
      error.problems.map(({ option, sentence }) => [option, sentence]),
      [
        ['cluster.connection', 'Missing. Give --database, DATABASE_URL or clusters[].connection in a plan.'],
        ['repository.primary', 'Missing. Give --repository, HOLDFAST_REPOSITORY or repository.primary in a plan.'],
        [
          'repository.passphrase',
          'Missing, as is every other key. Give one of them: --passphrase-file, HOLDFAST_PASSPHRASE, HOLDFAST_PASSPHRASE_FILE or repository.passphrase in a plan, --key-file, HOLDFAST_KEY_FILE or repository.keyFile in a plan, --age-identity, HOLDFAST_AGE_IDENTITY or repository.ageIdentity in a plan, --key-command, HOLDFAST_KEY_COMMAND or repository.keyCommand in a plan.',
        ],
      ],
    );
  });
});

it('a flag counts more than a variable, a variable more than the plan, the plan more than the default', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.boolean(), fc.boolean(), async (inFlag, inVariable, inPlan) => {
      const planFile = await writePlan({ clusters: inPlan ? [{ name: 'from_plan' }] : [] });
      const plan = await load({
        planFile,
        flags: inFlag ? { 'cluster.name': 'from_flag' } : {},
        environment: inVariable ? { HOLDFAST_CLUSTER: 'from_variable' } : {},
      });
      const expected = inFlag ? 'from_flag' : inVariable ? 'from_variable' : inPlan ? 'from_plan' : 'main';
      assert.equal(plan.cluster.name, expected);
    }),
    { numRuns: 24 },
  );
});

describe('a plan with mistakes', () => {
  it('is refused with all of them, each with option, value, what is allowed and where it was read', async () => {
    const planFile = await writePlan({
      clusters: [{ nam: 'shop', name: 'Web-Shop' }],
      repository: [],
      wal: { flushInterval: '1 year' },
      backup: { workers: 0, compressionLevel: 'high', maxRate: '1KiB', checkpoint: 'slow' },
      extras: true,
    });
    const error = await problemsOf(load({ planFile, flags: { 'backup.workers': 'many' } }));
    const lines = error.problems.map(({ option, value, sentence, origin }) =>
      [option, value, sentence, origin].join(' | '),
    );
    assert.deepEqual(lines, [
      `extras |  | Unrecognized option. Expected one of ${Object.keys(planSchema.shape).join(', ')}. | ${planFile}`,
      `repository |  | Expected an object with the options primary, copies, passphrase, keyFile, ageIdentity, keyCommand, protect. | ${planFile}`,
      `clusters[0].nam |  | Unrecognized option. Did you mean "name"? | ${planFile}`,
      `clusters[0].name | "Web-Shop" | Expected 1 to 54 lower-case letters, digits and underscores, as in a slot's name. | ${planFile}`,
      `wal.flushInterval | "1 year" | Expected a duration from 100ms to 60s. | ${planFile}`,
      'backup.workers | "many" | Expected a whole number from 1 to 64. | --workers',
      `backup.workers | 0 | Expected a whole number from 1 to 64. | ${planFile}`,
      `backup.compressionLevel | "high" | Expected a whole number from 1 to 19. | ${planFile}`,
      `backup.maxRate | "1KiB" | Expected bytes in a second from 32KiB to 1GiB, such as 50MiB. | ${planFile}`,
      `backup.checkpoint | "slow" | Expected spread or fast. | ${planFile}`,
    ]);
    assert.equal(error.detail?.split('\n').length, lines.length);
  });

  it('never has a secret repeated', async () => {
    const connections = [
      'postgresql://ann:sesame@db/shop',
      'postgres://:sesame@/shop',
      'postgresql://db/shop?user=ann&password=sesame',
      'host=db user=ann password=sesame',
      "password = 'sesame'",
    ];
    for (const connection of connections) {
      const planFile = await writePlan({
        clusters: [{ name: 'shop', connection }],
        repository: { passphrase: 'sesame' },
      });
      const error = await problemsOf(load({ planFile, needs: { connection: 'required', credential: 'required' } }));
      assert.deepEqual(
        error.problems.map(({ option }) => option),
        ['clusters[0].connection', 'repository.passphrase'],
      );
      assert.doesNotMatch(inspect(error, { depth: 9 }), /sesame/);
    }
  });
});

describe('values and references', () => {
  it('are followed only for what is needed', async () => {
    const planFile = await writePlan({
      clusters: [{ name: 'shop', connection: { env: 'UNSET_VARIABLE' } }],
      repository: { primary: 'backups', passphrase: { command: ['/bin/false'] } },
    });
    const plan = await load({ planFile, needs: { primary: 'required' } });
    assert.equal(plan.repository.primary?.location, join(planFile, '..', 'backups'));
    assert.equal(plan.repository.credential, null);
    const error = await problemsOf(load({ planFile, needs: { connection: 'required', credential: 'required' } }));
    assert.match(error.detail!, /UNSET_VARIABLE is not set[\s\S]*"\/bin\/false" failed with exit code 1/);
  });

  it('that are merely wanted may be absent', async () => {
    const planFile = await writePlan({ clusters: [{ name: 'shop', connection: { env: 'UNSET_VARIABLE' } }] });
    const plan = await load({ planFile, needs: { connection: 'wanted', primary: 'wanted', credential: 'wanted' } });
    assert.equal(plan.cluster.connection, null);
    assert.equal(plan.repository.credential, null);
  });

  it('start from the plan when they stand in it, and from the working directory otherwise', async () => {
    const planFile = await writePlan({ repository: { primary: 'there', keyFile: 'there.key' } });
    const needs = { primary: 'required', credential: 'required' } as const;
    const fromPlan = await load({ planFile, needs });
    assert.equal(fromPlan.repository.primary?.location, join(planFile, '..', 'there'));
    assert.deepEqual(fromPlan.repository.credential, { kind: 'key-file', path: join(planFile, '..', 'there.key') });
    const environment = { HOLDFAST_REPOSITORY: 'here', HOLDFAST_KEY_FILE: 'here.key', HOLDFAST_STATE_DIR: '/state' };
    const fromEnvironment = await load({ planFile, needs, environment });
    assert.equal(fromEnvironment.repository.primary?.location, join(directory, 'here'));
    assert.deepEqual(fromEnvironment.repository.credential, { kind: 'key-file', path: join(directory, 'here.key') });
    assert.equal(fromEnvironment.stateDirectory, '/state');
  });

  it('that are URLs are not taken for relative paths', async () => {
    const plan = await load({ environment: { HOLDFAST_REPOSITORY: 's3://bucket/x' }, needs: { primary: 'required' } });
    assert.equal(plan.repository.primary?.location, 's3://bucket/x');
  });

  it('that are connection strings are not taken for paths, whatever form they have', async () => {
    for (const connection of ['host=db user=holdfast dbname=postgres', 'service=shop', 'postgresql://db/postgres']) {
      const needs = { connection: 'required' } as const;
      const flagged = await load({ flags: { 'cluster.connection': connection }, needs });
      assert.equal(flagged.cluster.connection?.reveal(), connection);
      const fromEnvironment = await load({ environment: { DATABASE_URL: connection }, needs });
      assert.equal(fromEnvironment.cluster.connection?.reveal(), connection);
      const fromPlan = await load({ planFile: await writePlan({ clusters: [{ name: 'shop', connection }] }), needs });
      assert.equal(fromPlan.cluster.connection?.reveal(), connection);
    }
  });

  it('come out of files and commands without their line end, and stay hidden when printed', async () => {
    await writeFile(join(directory, 'passphrase'), 'open sesame \n');
    const fromFile = await load({
      flags: { 'repository.passphrase': 'passphrase' },
      needs: { credential: 'required' },
    });
    assert.ok(fromFile.repository.credential?.kind === 'passphrase');
    assert.equal(fromFile.repository.credential.passphrase.reveal(), 'open sesame ');
    assert.doesNotMatch(inspect(fromFile, { depth: 9 }) + JSON.stringify(fromFile), /sesame/);

    const planFile = await writePlan({ repository: { passphrase: { command: 'echo "open $WORD"; echo noise >&2' } } });
    const environment = { WORD: 'sesame', PATH: '/usr/bin:/bin' };
    const fromCommand = await load({ planFile, environment, needs: { credential: 'required' } });
    assert.ok(fromCommand.repository.credential?.kind === 'passphrase');
    assert.equal(fromCommand.repository.credential.passphrase.reveal(), 'open sesame');
  });

  it('of a command that fails are not repeated, nor is what it said', async () => {
    const planFile = await writePlan({
      repository: { passphrase: { command: 'echo sesame; echo sesame >&2; exit 3' } },
    });
    const error = await problemsOf(load({ planFile, needs: { credential: 'required' } }));
    assert.match(error.detail!, /failed with exit code 3/);
    assert.doesNotMatch(inspect(error, { depth: 9 }), /sesame/);
  });

  it('name the file that does not exist, is empty or is not a file', async () => {
    await writeFile(join(directory, 'empty'), '\n');
    for (const [file, expected] of [
      ['absent', /it does not exist/],
      ['empty', /is empty/],
      ['.', /it is a directory/],
    ] as const) {
      const error = await problemsOf(
        load({ environment: { HOLDFAST_PASSPHRASE_FILE: file }, needs: { credential: 'required' } }),
      );
      assert.match(error.detail!, expected);
    }
  });
});

describe('passphrase and key file', () => {
  const needs = { credential: 'required' } as const;

  it('contradict when they come from one source', async () => {
    const both = { HOLDFAST_PASSPHRASE: 'open', HOLDFAST_KEY_FILE: '/key' };
    const error = await problemsOf(load({ environment: both, needs }));
    assert.match(error.detail!, /Expected one key, found a passphrase and a key file/);
    const two = { HOLDFAST_PASSPHRASE: 'open', HOLDFAST_PASSPHRASE_FILE: '/file' };
    assert.match(
      (await problemsOf(load({ environment: two, needs }))).detail!,
      /Expected one of HOLDFAST_PASSPHRASE and/,
    );
  });

  it('from different sources: the source that counts more decides', async () => {
    const environment = { HOLDFAST_PASSPHRASE: 'open' };
    const flagged = await load({ environment, flags: { 'repository.keyFile': '/key' }, needs });
    assert.deepEqual(flagged.repository.credential, { kind: 'key-file', path: '/key' });
    const planFile = await writePlan({ repository: { keyFile: '/key' } });
    const overridden = await load({ planFile, environment, needs });
    assert.equal(overridden.repository.credential?.kind, 'passphrase');
  });
});
