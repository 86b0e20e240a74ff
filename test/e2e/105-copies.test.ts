import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type CommandRun, documentOf, runHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { diskRegion, type Region, s3Region } from '../support/regions.ts';
import { type S3Server, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

interface ComparisonDocument {
  same: boolean;
  copies: { name: string; same: number; missing: { names: string[] }; differing: { names: string[] } }[];
}

interface CopiesDocument {
  well: boolean;
  primary: { error: { code: string } | null };
  copies: { name: string; state: string; lagSeconds: number | null; error: { code: string } | null }[];
  findings: { code: string; severity: string; sentence: string }[];
}

interface Away {
  placesAway?: { place: string; code: string }[];
}

type Which = 'primary' | 'west' | 'east';

/** A server and three regions, each a place that the repository can be kept in. */
interface World {
  readonly server: PostgresServer;
  readonly regions: Readonly<Record<Which, Region>>;
  /** Carries a command out with a plan that names these places. */
  run(places: Places, ...words: string[]): Promise<CommandRun>;
  succeed<T>(places: Places, ...words: string[]): Promise<T>;
  into(name: string): string;
}

interface Places {
  readonly primary: Which;
  readonly copies: readonly Which[];
  readonly required?: boolean;
}

const twoRegions: Places = { primary: 'primary', copies: ['west'] };
const promoted: Places = { primary: 'west', copies: ['east'] };

async function makeWorld(
  stack: AsyncDisposableStack,
  scratch: string,
  makeRegion: (name: string) => Promise<Region>,
): Promise<World> {
  const server = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1 }));
  await server.query('CREATE TABLE item AS SELECT n FROM generate_series(1, 1000) n');
  const [primary, west, east] = [await makeRegion('primary'), await makeRegion('west'), await makeRegion('east')];
  const regions = { primary, west, east };
  for (const region of Object.values(regions)) stack.use(region);
  const run = async (places: Places, ...words: string[]) => {
    const plan = join(scratch, 'holdfast.config.json');
    const copies = places.copies.map((name) => ({
      ...{ name, ...regions[name].place },
      ...(places.required === true ? { required: true } : {}),
    }));
    await writeFile(plan, JSON.stringify({ repository: { primary: regions[places.primary].place, copies } }));
    return await runHoldfast([...words, '--plan', plan, '--json'], { environment: environment() });
  };
  const environment = () => ({
    ...Object.assign({}, ...Object.values(regions).map((region) => region.environment)),
    DATABASE_URL: server.backupUrl,
    HOLDFAST_PASSPHRASE: 'in three places',
    HOLDFAST_STATE_DIR: join(scratch, 'state'),
    AWS_EC2_METADATA_DISABLED: 'true',
  });
  return {
    ...{ server, regions, run },
    succeed: async <T>(places: Places, ...words: string[]) => {
      const ended = await run(places, ...words);
      assert.equal(ended.code, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`);
      return documentOf<T>(ended);
    },
    into: (name) => join(scratch, name),
  };
}

async function restoredItems(world: World, places: Places, name: string, ...more: string[]): Promise<string> {
  const into = world.into(name);
  const words = ['restore', '--into', into, '--start', '--bin-dir', world.server.binDirectory, ...more];
  const { instance } = await world.succeed<{ instance: { pid: number; socketDirectory: string; port: number } }>(
    places,
    ...words,
  );
  try {
    const { default: pg } = await import('pg');
    const client = new pg.Client({
      ...{ host: instance.socketDirectory, port: instance.port, database: 'postgres', user: 'postgres' },
    });
    await client.connect();
    const { rows } = await client.query<{ count: string }>('SELECT count(*)::text FROM item');
    await client.end();
    return rows[0]!.count;
  } finally {
    process.kill(instance.pid, 'SIGQUIT');
  }
}

describe('a copy in another region', { skip: whyNoS3Server() }, () => {
  const stack = new AsyncDisposableStack();
  let store: S3Server;
  let world: World;

  before(async () => {
    store = await startS3Server();
    stack.defer(() => store.stop());
    const scratch = await makeScratchDirectory('copies');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    world = await makeWorld(stack, scratch, (name) => s3Region(store, name));
    await world.succeed(twoRegions, 'repository', 'init');
  });
  after(() => stack.disposeAsync());

  it('is filled by a sync, and has what a backup stores when the backup is done', async () => {
    await world.succeed(twoRegions, 'copies', 'sync');
    const { copies } = await world.succeed<{ copies: { name: string; state: string }[] }>(
      twoRegions,
      ...['backup', '--checkpoint', 'fast'],
    );
    assert.deepEqual(
      copies.map(({ name, state }) => [name, state]),
      [['west', 'in-step']],
    );
    const compared = await world.succeed<ComparisonDocument>(twoRegions, 'copies', 'compare', '--deep');
    assert.ok(compared.same && compared.copies[0]!.same > 5);
  });

  it('that lacks an object is named, and gets it by a sync', async () => {
    const [victim] = (await world.regions.west.list()).filter((name) => name.startsWith('packs/'));
    await world.regions.west.remove(victim!);
    const compared = await world.run(twoRegions, 'copies', 'compare', 'west');
    assert.equal(compared.code, 3, compared.stderr);
    assert.deepEqual(documentOf<ComparisonDocument>(compared).copies[0]!.missing.names, [victim]);
    await world.succeed(twoRegions, 'copies', 'sync', 'west');
    assert.ok((await world.regions.west.list()).includes(victim!));
  });

  it('that is cut off stops no backup unless it is required, is told by its name, and catches up', async () => {
    await world.regions.west.cut();
    await world.server.query('INSERT INTO item SELECT n FROM generate_series(1, 500) n');
    const backup = await world.succeed<Away & { copies: { state: string }[] }>(
      twoRegions,
      ...['backup', '--checkpoint', 'fast'],
    );
    assert.equal(backup.copies[0]!.state, 'away');
    assert.equal(backup.placesAway?.[0]?.place, 'west');
    const ended = await world.run(twoRegions, 'copies', 'status');
    const optional = documentOf<CopiesDocument>(ended);
    assert.deepEqual([ended.code, optional.well, optional.copies[0]!.state], [3, false, 'away']);
    assert.match(optional.findings[0]!.sentence, /^Optional copy "west" does not answer/);
    const required = await world.run({ ...twoRegions, required: true }, 'copies', 'status');
    assert.equal(required.code, 3);
    assert.match(documentOf<CopiesDocument>(required).findings[0]!.sentence, /^Copy "west" does not answer/);
    await world.regions.west.heal();
    const behind = await world.run(twoRegions, 'copies', 'compare');
    assert.equal(behind.code, 3);
    assert.equal(
      documentOf<CopiesDocument>(await world.run(twoRegions, 'copies', 'status')).copies[0]!.state,
      'behind',
    );
    await world.succeed(twoRegions, 'copies', 'sync');
    assert.ok((await world.succeed<ComparisonDocument>(twoRegions, 'copies', 'compare', '--deep')).same);
  });

  it('serves whoever reads when the primary is burnt, and takes a backup into the copy', async () => {
    await world.regions.primary.burn();
    const listed = await world.succeed<Away & { snapshots: unknown[] }>(twoRegions, 'list');
    assert.equal(listed.snapshots.length, 2);
    const verified = await world.succeed<{ sound: boolean; primaryAway: object | null }>(twoRegions, 'verify', '--all');
    assert.ok(verified.sound && verified.primaryAway !== null);
    const status = await world.run(twoRegions, 'status');
    assert.equal(status.code, 3, status.stderr);
    assert.ok(documentOf<CopiesDocument>(status).findings.some(({ code }) => code === 'primary-away'));
    assert.equal(await restoredItems(world, twoRegions, 'from-copy'), '1500');
    const taken = await world.succeed<{ takenIn: string }>(twoRegions, 'backup', '--checkpoint', 'fast');
    assert.equal(taken.takenIn, 'west');
    assert.equal((await world.run(twoRegions, 'copies', 'sync')).code, 1);
  });

  it('is made the primary by the plan, and gets a copy of its own', async () => {
    await world.succeed(promoted, 'copies', 'sync');
    await world.server.query('INSERT INTO item VALUES (1)');
    await world.succeed(promoted, 'backup', '--checkpoint', 'fast');
    assert.ok((await world.succeed<ComparisonDocument>(promoted, 'copies', 'compare', '--deep')).same);
    assert.equal(await restoredItems(world, promoted, 'from-east', '--from', 'east'), '1501');
  });
});

describe('a place', () => {
  let scratch: string;
  let environment: Record<string, string>;
  const at = (name: string) => join(scratch, name);
  const codeOf = async (words: string[], more: Record<string, string> = {}) => {
    const ended = await runHoldfast([...words, '--json'], { environment: { ...environment, ...more } });
    const { error } = documentOf<{ error?: { code: string; message: string; detail: string } }>(ended);
    return { code: ended.code, error: error?.code, said: `${error?.message} ${error?.detail}`, stderr: ended.stderr };
  };

  before(async () => {
    scratch = await makeScratchDirectory('places');
    environment = {
      HOLDFAST_REPOSITORY: at('primary'),
      HOLDFAST_PASSPHRASE: 'one of several',
      HOLDFAST_STATE_DIR: at('state'),
    };
    assert.equal((await codeOf(['repository', 'init'])).code, 0);
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  it('of another repository is refused before anything is written there', async () => {
    assert.equal((await codeOf(['repository', 'init'], { HOLDFAST_REPOSITORY: at('foreign') })).code, 0);
    const found = await diskRegion(scratch, 'foreign').list();
    for (const words of [
      ['copies', 'compare'],
      ['wal', 'stream', '--until', '0/1', '--database', 'host=/nowhere'],
    ]) {
      const refused = await codeOf(words, { HOLDFAST_COPIES: `west=${at('foreign')}` });
      assert.deepEqual([refused.code, refused.error], [4, 'REPOSITORY_COPY_FOREIGN'], refused.stderr);
      assert.match(refused.said, /copy "west"/);
    }
    assert.deepEqual(await diskRegion(scratch, 'foreign').list(), found);
  });

  it('that is another one under a second name is refused by the option that names it', async () => {
    const same = await codeOf(['list'], { HOLDFAST_COPIES: `west=${at('primary/../primary')}` });
    assert.deepEqual([same.code, same.error], [2, 'PLAN_INVALID']);
    assert.match(same.said, /repository\.copies\[0\]\.location .*The copy "west" is the same place as the primary/);
  });

  it('whose credentials are not there is named, and the others serve', async () => {
    const plan = at('holdfast.config.json');
    const west = { name: 'west', location: 's3://west/shop', credentials: { accountKey: { env: 'NOT_SET' } } };
    await writeFile(plan, JSON.stringify({ repository: { primary: 'primary', copies: [west] } }));
    const listed = await runHoldfast(['list', '--json', '--plan', plan], {
      environment: { HOLDFAST_PASSPHRASE: 'one of several', HOLDFAST_STATE_DIR: at('state') },
    });
    assert.equal(listed.code, 0, listed.stderr);
    assert.deepEqual(documentOf<Away>(listed).placesAway, [
      {
        place: 'west',
        code: 'STORE_CREDENTIALS_ABSENT',
        message: 'cannot reach the place "west": its credentials are not there',
      },
    ]);
  });

  it('is made by a sync only when that is asked for, as its disk may not be mounted', async () => {
    const copies = { HOLDFAST_COPIES: `north=${at('north')}` };
    const refused = await runHoldfast(['copies', 'sync'], { environment: { ...environment, ...copies } });
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /holdfast copies sync north --create/);
    assert.equal((await codeOf(['copies', 'sync', '--create'], copies)).code, 0);
    assert.equal((await codeOf(['copies', 'compare', '--deep'], copies)).code, 0);
    const whole = await runHoldfast(['copies', 'sync'], { environment: { ...environment, ...copies } });
    assert.deepEqual([whole.code, whole.stdout], [0, '✓ copy "north" has all that the primary has\n']);
  });

  it('that has other bytes than the primary is not told to be like it by a sync', async () => {
    assert.equal((await codeOf(['copies', 'sync', '--create'], { HOLDFAST_COPIES: `other=${at('other')}` })).code, 0);
    const [entry] = (await diskRegion(scratch, 'other').list()).filter((name) => name.startsWith('ledger/'));
    await appendFile(join(at('other'), entry!), 'x');
    const synced = await runHoldfast(['copies', 'sync'], {
      environment: { ...environment, HOLDFAST_COPIES: `other=${at('other')}` },
    });
    assert.equal(synced.code, 3, synced.stderr);
    const [first, second] = synced.stdout.split('\n');
    assert.equal(first, '! copy "other" lacks nothing, and differs from the primary in 1 object');
    assert.equal(second, `✗ ${entry}  other bytes than in the primary; left alone`);
  });

  it('gets what it lacks no faster than it was told', async () => {
    await mkdir(at('primary/later-kind'));
    for (const name of ['a', 'b', 'c', 'd'])
      await writeFile(join(at('primary/later-kind'), name), Buffer.alloc(256 << 10, name));
    const copies = { HOLDFAST_COPIES: `slow=${at('slow')}` };
    assert.deepEqual(await codeOf(['copies', 'sync', '--max-rate', '5'], copies).then(({ code }) => code), 2);
    assert.deepEqual(await codeOf(['copies', 'sync', '--max-rate', 'much'], copies).then(({ code }) => code), 2);
    const synced = await runHoldfast(['copies', 'sync', '--create', '--max-rate', '512KiB', '--json'], {
      environment: { ...environment, ...copies },
    });
    assert.equal(synced.code, 0, synced.stderr);
    // A mebibyte, of which the first pieces go ahead of the rate; without one it takes some hundredths of a second.
    const [copy] = documentOf<{ copies: { bytes: number; seconds: number }[] }>(synced).copies;
    assert.ok(copy!.bytes > 1 << 20 && copy!.seconds > 1, JSON.stringify(copy));
  });

  it('is not all there while WAL of an outage waits on this machine, whatever a sync brought', async () => {
    const { HOLDFAST_PASSPHRASE: key = '', ...others } = environment;
    const withoutKey = { ...others, HOLDFAST_COPIES: `north=${at('north')}` };
    const { id } = JSON.parse(await readFile(at('primary/format'), 'utf8')) as { id: string };
    const waits = (of: string) => at(`state/outage/${of}/wal/7/${'a'.repeat(64)}/fragments`);
    const sync = async (...words: string[]) => {
      const ended = await runHoldfast(['copies', 'sync', ...words], { environment: withoutKey });
      return { code: ended.code, stdout: ended.stdout };
    };
    await mkdir(waits('0'.repeat(32)), { recursive: true });
    await writeFile(join(waits('0'.repeat(32)), 'one'), 'of another repository');
    assert.equal((await sync()).code, 0);
    await mkdir(waits(id), { recursive: true });
    await writeFile(join(waits(id), 'one'), 'of this one');
    const counted = await sync('--json');
    assert.equal(counted.code, 3, counted.stdout);
    const { waiting } = JSON.parse(counted.stdout) as { waiting: { objects: number; reason: string } };
    assert.equal(waiting.objects, 1);
    assert.match(waiting.reason, /no key was given/);
    assert.match((await sync()).stdout, /\n! 1 object of WAL waits in ".+" of this machine: no key was given/);
    // With a key, what cannot be looked at is left as well.
    await rm(at(`state/outage/${id}`), { recursive: true });
    await writeFile(at(`state/outage/${id}`), 'no directory');
    const unread = await runHoldfast(['copies', 'sync', '--json'], {
      environment: { ...withoutKey, HOLDFAST_PASSPHRASE: key },
    });
    assert.equal(unread.code, 3, unread.stderr);
    assert.equal(documentOf<{ waiting: { objects: number | null } }>(unread).waiting.objects, null);
    await rm(at('state/outage'), { recursive: true });
    assert.equal((await sync()).code, 0);
  });

  it('that cannot be compared keeps nobody from hearing of the others, and without the primary nothing is compared', async () => {
    const both = { ...environment, HOLDFAST_COPIES: `gone=${at('gone')} north=${at('north')}` };
    await runHoldfast(['copies', 'sync', 'north'], { environment: both });
    const compared = await runHoldfast(['copies', 'compare'], { environment: both });
    assert.equal(compared.code, 1, compared.stderr);
    assert.match(compared.stdout, /✗ copy "gone": could not reach .+\n(?: {2}.+\n)+✓ copy "north" has \d+ objects/);
    const alone = await codeOf(['copies', 'compare'], { ...both, HOLDFAST_REPOSITORY: at('nowhere') });
    assert.deepEqual([alone.code, alone.error], [1, 'REPOSITORY_PRIMARY_AWAY']);
  });

  it('that holds a repository is no place for another one, as the primary may only be away', async () => {
    const copies = { HOLDFAST_COPIES: `north=${at('north')}`, HOLDFAST_REPOSITORY: at('nowhere') };
    const refused = await codeOf(['repository', 'init'], copies);
    assert.deepEqual([refused.code, refused.error], [4, 'REPOSITORY_EXISTS'], refused.stderr);
    assert.match(refused.said, /copy "north" holds one already/);
    assert.equal(existsSync(at('nowhere')), false);
  });

  it('away from the machine is missed by doctor and status', async () => {
    const copies = { HOLDFAST_COPIES: `north=${at('north')}` };
    for (const [more, pattern] of [
      [{}, /only place of the repository is on this machine, and there is no copy/],
      [copies, /All 2 places of the repository are on this machine/],
    ] as const) {
      const status = await runHoldfast(['status'], { environment: { ...environment, ...more } });
      assert.match(status.stdout, pattern);
      const doctor = await runHoldfast(['doctor', '--json'], { environment: { ...environment, ...more } });
      const { checks } = documentOf<{ checks: { code: string; verdict: string; sentence: string }[] }>(doctor);
      const check = checks.find(({ code }) => code === 'copy-elsewhere');
      assert.equal(check?.verdict, 'warning');
      assert.match(check!.sentence, pattern);
      const whole = checks.find(({ code }) => code === 'copy-whole');
      assert.equal(whole?.verdict, more === copies ? 'ok' : undefined);
    }
  });
});
