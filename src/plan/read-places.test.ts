import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { loadPlan } from './load-plan.ts';
import { PlanError } from './plan-error.ts';
import type { ResolvedPlan } from './resolved-plan.ts';
import type { Flags } from './sources.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-places-'));
});
after(() => rm(directory, { recursive: true, force: true }));

interface Given {
  /** What the plan says of the repository; no plan when left out. */
  readonly repository?: unknown;
  readonly flags?: Flags;
  readonly environment?: Record<string, string>;
}

const day = 24 * 60 * 60 * 1000;

let plans = 0;

async function load({ repository, flags = {}, environment = {} }: Given): Promise<ResolvedPlan> {
  plans += 1;
  const planFile = join(directory, `plan-${plans}.json`);
  if (repository !== undefined) await writeFile(planFile, JSON.stringify({ repository }));
  return await loadPlan({
    ...(repository === undefined ? {} : { planFile }),
    directory: '/working',
    flags,
    needs: { primary: 'required', copies: 'required' },
    libraryUrl: new URL('./define-plan.ts', import.meta.url).href,
    machine: { cores: 3, homeDirectory: '/home/ann', isRoot: false, environment },
  });
}

const readPlaces = async (given: Given) => (await load(given)).repository;

async function problemsOf(given: Given): Promise<string[][]> {
  const error = await load(given).then(
    () => assert.fail('the plan was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PlanError, inspect(error));
  return error.problems.map(({ option, value, sentence }) => [option, value ?? '', sentence]);
}

describe('the primary place', () => {
  it('may be a location alone, a reference to one, or an object with what belongs to it', async () => {
    const environment = { WHERE: 's3://bucket/shop' };
    for (const primary of ['s3://bucket/shop', { env: 'WHERE' }, { location: { env: 'WHERE' } }]) {
      const { primary: place } = await readPlaces({ repository: { primary }, environment });
      assert.equal(place?.location, 's3://bucket/shop');
      assert.deepEqual([place?.name, place?.credentials, place?.lockMs], ['primary', { kind: 'chain' }, null]);
    }
    const whole = { location: 'backups', credentials: { profile: 'shop' }, lock: '35d' };
    const { primary: place } = await readPlaces({ repository: { primary: whole } });
    assert.equal(place?.location, join(directory, 'backups'));
    assert.deepEqual([place?.credentials, place?.lockMs], [{ kind: 'profile', profile: 'shop' }, 35 * day]);
  });

  it('that a flag or a variable names does not get the credentials of the one in the plan', async () => {
    const repository = { primary: { location: 's3://a/x', credentials: { profile: 'a' }, lock: '7d' } };
    const { primary: flagged } = await readPlaces({ repository, flags: { 'repository.primary.location': 's3://b/x' } });
    assert.deepEqual([flagged?.location, flagged?.credentials, flagged?.lockMs], ['s3://b/x', { kind: 'chain' }, null]);
    const { primary: set } = await readPlaces({ repository, environment: { HOLDFAST_REPOSITORY: 'here' } });
    assert.deepEqual([set?.location, set?.credentials], ['/working/here', { kind: 'chain' }]);
  });

  it('under the name that it had before is refused with the line that is meant', async () => {
    const [problem] = await problemsOf({ repository: { location: '/backups/shop' } });
    assert.deepEqual(problem, [
      'repository.location',
      '',
      'It is called "primary" now. Write primary: "/backups/shop" instead of location: "/backups/shop".',
    ]);
    const [hidden] = await problemsOf({ repository: { location: 's3://ann:sesame@host/bucket' } });
    assert.equal(hidden![2], 'It is called "primary" now. Write primary: … instead of location: ….');
  });
});

describe('copies', () => {
  it('have a name each, a location from the folder of the plan, and wait for nobody unless they are required', async () => {
    const { copies } = await readPlaces({
      repository: {
        primary: '/primary',
        copies: [
          { name: 'west', location: '../west' },
          { name: 'cold', location: 's3://cold/shop', required: true, lock: '35d' },
        ],
      },
    });
    assert.deepEqual(
      copies.map(({ name, option, location, required, lockMs }) => [name, option, location, required, lockMs]),
      [
        ['west', 'repository.copies[0]', join(directory, '../west'), false, null],
        ['cold', 'repository.copies[1]', 's3://cold/shop', true, 35 * day],
      ],
    );
  });

  it('come whole from the source that counts most: flags before the variable before the plan', async () => {
    const repository = { primary: '/primary', copies: [{ name: 'planned', location: '/planned' }] };
    const environment = { HOLDFAST_COPIES: ' west=west\n cold=s3://cold/shop?endpoint=http://127.0.0.1:9 ' };
    const flags = { 'repository.copies': ['east=/east', 'north=/a=b'] };
    const named = async (given: Given) =>
      (await readPlaces(given)).copies.map(({ name, location }) => `${name} ${location}`);
    assert.deepEqual(await named({ repository }), ['planned /planned']);
    const set = ['west /working/west', 'cold s3://cold/shop?endpoint=http://127.0.0.1:9'];
    assert.deepEqual(await named({ repository, environment }), set);
    assert.deepEqual(await named({ repository, environment, flags }), ['east /east', 'north /a=b']);
  });

  it('with mistakes are refused with all of them, each with its place in the list', async () => {
    const copies = [
      { name: 'West', location: '' },
      { name: 'primary', location: '/a', credentials: { secretAccessKey: 'sesame' } },
      { nam: 'x', location: '/b' },
      'west=/c',
      { name: 'cold', location: '/d', required: 'yes', lock: '12h' },
      { name: 'cold', location: '/e' },
    ];
    const name = 'Expected 1 to 32 lower-case letters, digits and hyphens, and not "primary".';
    const problems = await problemsOf({ repository: { primary: '/primary', copies } });
    assert.doesNotMatch(inspect(problems), /sesame/);
    assert.deepEqual(
      problems.map(([option, value, sentence]) => [option, value, sentence!.slice(0, 44)]),
      [
        ['repository.copies[0].name', '"West"', name.slice(0, 44)],
        ['repository.copies[0].location', '""', 'Expected a path, s3://bucket/prefix or azure'],
        ['repository.copies[1].name', '"primary"', name.slice(0, 44)],
        ['repository.copies[1].credentials', '', 'Expected { accessKeyId, secretAccessKey }, w'],
        ['repository.copies[2].nam', '', 'Unrecognized option. Did you mean "name"?'],
        ['repository.copies[2].name', '', `Missing. ${name}`.slice(0, 44)],
        ['repository.copies[3]', '"west=/c"', 'Expected a list of { name, location }, with '],
        ['repository.copies[4].required', '"yes"', 'Expected true or false.'],
        ['repository.copies[4].lock', '"12h"', 'Expected a duration from 1d to 3650d.'],
        ['repository.copies[5].name', '"cold"', 'Expected a name that no other copy has.'],
      ],
    );
    const [listless] = await problemsOf({ repository: { primary: '/primary', copies: { west: '/west' } } });
    assert.match(listless!.join(), /^repository\.copies,,Expected a list of/);
    const [nameless] = await problemsOf({ environment: { HOLDFAST_REPOSITORY: '/a', HOLDFAST_COPIES: '/b' } });
    assert.deepEqual(nameless!.slice(0, 2), ['repository.copies[0]', '"/b"']);
  });

  it('of whatever shape are told apart or refused, and never anything else', async () => {
    const anything = fc.oneof(fc.jsonValue(), fc.record({ name: fc.string(), location: fc.jsonValue() }));
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { maxLength: 4 }), async (copies) => {
        const found = await readPlaces({ repository: { primary: '/p', copies } }).catch((error: unknown) => error);
        if (found instanceof PlanError) return;
        assert.ok(!(found instanceof Error), inspect(found));
        const names = (found as ResolvedPlan['repository']).copies.map(({ name }) => name);
        assert.equal(new Set(names).size, copies.length);
      }),
      { numRuns: 60 },
    );
  });
});

describe('the credentials of a place', () => {
  const credentialsOf = async (credentials: unknown, environment: Record<string, string> = {}) =>
    (await readPlaces({ repository: { primary: { location: 's3://a', credentials } }, environment })).primary!
      .credentials;

  it('are followed to what opens a store, and stay hidden', async () => {
    const environment = { ID: 'AKIA1', SECRET: 'sesame', TOKEN: 'seed' };
    const { kind, ...parts } = (await credentialsOf(
      { accessKeyId: { env: 'ID' }, secretAccessKey: { env: 'SECRET' }, sessionToken: { env: 'TOKEN' } },
      environment,
    )) as unknown as Record<string, { reveal(): string }>;
    assert.equal(kind, 'access-key');
    assert.equal(parts.accessKeyId, 'AKIA1');
    assert.deepEqual([parts.secretAccessKey!.reveal(), parts.sessionToken!.reveal()], ['sesame', 'seed']);
    assert.doesNotMatch(inspect(parts, { depth: 9 }) + JSON.stringify(parts), /sesame|seed/);
    await writeFile(join(directory, 'account-key'), 'sesame\n');
    const account = await credentialsOf({ accountKey: { file: 'account-key' } });
    assert.ok(account.kind === 'account-key');
    assert.equal(account.key.reveal(), 'sesame');
    const sas = await credentialsOf({ sas: { command: 'echo sesame' } }, { PATH: '/usr/bin:/bin' });
    assert.ok(sas.kind === 'sas');
    assert.equal(sas.token.reveal(), 'sesame');
  });

  it('that are not there leave the other places usable, and say why', async () => {
    const absent = await credentialsOf({ accessKeyId: { env: 'NO_ID' }, secretAccessKey: { file: 'no-secret' } });
    assert.equal(absent.kind, 'absent');
    assert.match(inspect(absent), /NO_ID is not set[\s\S]*no-secret" could not be read/);
  });
});

it('what comes first while the primary is away is writes unless the plan says wal', async () => {
  assert.equal((await readPlaces({ repository: { primary: '/p' } })).protect, 'writes');
  assert.equal((await readPlaces({ repository: { primary: '/p', protect: 'wal' } })).protect, 'wal');
  const [problem] = await problemsOf({ repository: { primary: '/p', protect: 'both' } });
  assert.deepEqual(problem, ['repository.protect', '"both"', 'Expected writes or wal.']);
});
