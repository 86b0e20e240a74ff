import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type Clock, HoldfastError, type Progress, Secret, silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { verifySnapshots } from '../../src/prove/index.ts';
import {
  initRepository,
  newSpoolPath,
  type ObjectStore,
  openRepository,
  openStore,
  type Repository,
} from '../../src/repository/index.ts';
import { type RestoreProposal, runRestore } from '../../src/restore/index.ts';
import { startAzureServer } from '../support/azure-server.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type HttpFaultKind, randomFaults } from '../support/http-fault.ts';
import { keyFileIn } from '../support/memory-repository.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { historyOf } from '../support/protected-server.ts';
import { type MetCodes, repeatUntilDone } from '../support/repeat-until-done.ts';
import { targetOf } from '../support/repository.ts';
import { assertSameFiles, readRestoredFiles } from '../support/restored-files.ts';
import { startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory, nobody, runsAsRoot } from '../support/scratch.ts';
import { type Random, seededRandom } from '../support/seeded-random.ts';
import {
  compareWithServer,
  flushLsnOf,
  onlyLineage,
  type RunningReceiver,
  startReceiver,
} from '../support/wal-receiver.ts';

/** Faults that really happen in this file; `npm run campaign` asks for more. */
const FAULTS = Number(process.env.HOLDFAST_FAULTS ?? 400);
/** One in so many requests meets a fault at first, and fewer each time that something had to be repeated as a whole. */
const ONE_IN_FIRST = 4;
const ATTEMPTS_MAX = 12;
const RACES_AT_ONCE = 4;
/** Whoever waits for long before another try waits a fiftieth of it, and a silent server is silent for a tenth of a second. */
const HURRY = 50;
const HURRIED_MS_MIN = 100;
const WAIT_MS_MAX = 60_000;

const hasty: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms < HURRIED_MS_MIN ? ms : ms / HURRY, signal),
};

const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));

/** What comes whole and is not what was sent. Once for each question: were every answer altered, the object might as well be damaged. */
const ALTERING: ReadonlySet<HttpFaultKind> = new Set(['flipped-answer-bit', 'shortened-answer']);

/** A store as it is, and the same one behind faults. */
interface FaultyPlace extends AsyncDisposable {
  readonly proxy: FaultProxy;
  open(prefix: string, through: 'near' | 'faulty'): ObjectStore;
}

/** Faults in front of a place, and those who go on in spite of them. */
class Weather {
  readonly random: Random = seededRandom(seed);
  /** Whoever gave up in spite of all its own repetitions, and was repeated as a whole. */
  readonly met: MetCodes = new Map();
  readonly #proxy: FaultProxy;
  readonly #altered = new Set<string>();

  constructor(proxy: FaultProxy) {
    this.#proxy = proxy;
  }

  spoil(oneIn: number): void {
    const draw = randomFaults(this.random, oneIn);
    this.#proxy.use((request) => {
      const kind = draw(request);
      if (kind === null || !ALTERING.has(kind)) return kind;
      if (this.#altered.has(request.url)) return null;
      this.#altered.add(request.url);
      return kind;
    });
  }

  insist<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    this.spoil(ONE_IN_FIRST);
    const ease = (failed: number) => this.spoil(ONE_IN_FIRST * 2 ** failed);
    return repeatUntilDone(what, attempt, { met: this.met, attemptsMax: ATTEMPTS_MAX, ease });
  }

  tell(test: TestContext): void {
    const list = (entries: Iterable<[string, number]>) =>
      [...entries].flatMap(([name, count]) => (count > 0 ? [`${name} ${count}`] : [])).join(', ');
    test.diagnostic(`HOLDFAST_SEED=${seed} HOLDFAST_FAULTS=${FAULTS}`);
    test.diagnostic(`happened: ${list(Object.entries(this.#proxy.happened))}`);
    test.diagnostic(`repeated as a whole after: ${list(this.met)}`);
  }
}

async function s3Place(versioning: boolean, scratchDirectory: string): Promise<FaultyPlace> {
  await using stack = new AsyncDisposableStack();
  const s3 = stack.use(await startS3Server());
  const bucket = await s3.makeBucket({ versioning });
  const proxy = stack.use(await startFaultProxy({ target: s3.endpoint, seed, silenceMs: 100, lateMs: 50 }));
  const { accessKeyId, secretAccessKey } = s3.admin;
  const credentials = { kind: 'access-key', accessKeyId, secretAccessKey: new Secret(secretAccessKey) } as const;
  const open: FaultyPlace['open'] = (prefix, through) => {
    const endpoint = through === 'near' ? s3.endpoint : proxy.endpoint;
    const location = `s3://${bucket}/${prefix}?region=${s3.region}&endpoint=${endpoint}`;
    return openStore(location, { clock: hasty, scratchDirectory, credentials });
  };
  const owned = stack.move();
  return { proxy, open, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function azurePlace(scratchDirectory: string): Promise<FaultyPlace> {
  await using stack = new AsyncDisposableStack();
  const azure = stack.use(await startAzureServer());
  const container = await azure.makeContainer();
  const target = new URL(azure.endpoint).origin;
  const proxy = stack.use(await startFaultProxy({ target, seed, silenceMs: 100, lateMs: 50 }));
  const credentials = { kind: 'account-key', key: new Secret(azure.key) } as const;
  const open: FaultyPlace['open'] = (prefix, through) => {
    const endpoint = `${through === 'near' ? target : proxy.endpoint}/${azure.account}`;
    const location = `azure://${azure.account}/${container}/${prefix}?endpoint=${endpoint}`;
    return openStore(location, { clock: hasty, scratchDirectory, credentials });
  };
  const owned = stack.move();
  return { proxy, open, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const places: Record<string, (scratchDirectory: string) => Promise<FaultyPlace>> = {
  'a bucket of S3': (scratch) => s3Place(false, scratch),
  'a bucket of S3 that keeps versions': (scratch) => s3Place(true, scratch),
  'a container of Azure': azurePlace,
};
const RACES = Object.keys(places).length;

describe('behind a network that does everything wrong', { skip: whyNoS3Server() }, () => {
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('store-faults');
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  for (const [where, openPlace] of Object.entries(places)) {
    it(`lets one of two writers of a name win in ${where}, and keeps the bytes of that one whole`, async (test) => {
      await using place = await openPlace(scratch);
      const weather = new Weather(place.proxy);
      for (let n = 0; place.proxy.happenedInAll < FAULTS / 2 / RACES; n += RACES_AT_ONCE) {
        await Promise.all(Array.from({ length: RACES_AT_ONCE }, (_, i) => race(place, weather, `packs/${n + i}`)));
      }
      weather.tell(test);
    });
  }

  async function race({ open }: FaultyPlace, weather: Weather, name: string): Promise<void> {
    const writers = await Promise.all(
      [0, 1].map(async () => {
        const { random } = weather;
        const store = open('race', 'faulty');
        const body = random.bytes(1 + random.below(20_000));
        const asFile = random.below(2) === 0;
        let isSure = true;
        const outcome = await weather.insist(`put ${name}`, async () => {
          try {
            return asFile
              ? await store.putFileIfAbsent(name, await spoolFile(store, body))
              : await store.putIfAbsent(name, body);
          } catch (error) {
            isSure = false; // It may have been stored although it was told otherwise.
            throw error;
          }
        });
        return { body, outcome, isSure };
      }),
    );
    const stored = await open('race', 'near').get(name);
    const owner = writers.find(({ body }) => body.equals(stored));
    assert.ok(owner !== undefined, `${name} holds what one of the writers had`);
    for (const writer of writers) {
      if (writer === owner) assert.ok(writer.outcome === 'created' || !writer.isSure, `${name}: the owner is told`);
      else assert.equal(writer.outcome, 'exists', `${name}: only one is told that it is the owner`);
    }
  }

  it('brings backups, WAL, verifications and restores through: nothing is lost, and no wrong byte is restored', async (test) => {
    await using place = await s3Place(seed % 2 === 0, scratch);
    await using world = await startWorld(place);
    for (let round = 1; place.proxy.happenedInAll < FAULTS / 2; round++) await playRound(world, round);
    await judge(world);
    world.weather.tell(test);
  });

  /** A small server, and a repository for it. */
  interface World extends AsyncDisposable {
    readonly place: FaultyPlace;
    readonly weather: Weather;
    readonly server: PostgresServer;
    readonly common: { stateDirectory: string; clock: Clock; progress: Progress };
    /** Snapshots of which it was said that they are committed, and the highest position of which the server was told that it is durable. */
    readonly backups: string[];
    reported: bigint;
    openThrough(store: ObjectStore): Promise<Repository>;
  }

  interface Restored {
    readonly into: string;
    readonly proposal: RestoreProposal;
  }

  async function startWorld(place: FaultyPlace): Promise<World> {
    const weather = new Weather(place.proxy);
    const credential = await keyFileIn(scratch);
    const openThrough = (store: ObjectStore) =>
      openRepository({ store, credential, access: 'write', clock: systemClock, stateDirectory: scratch });
    await (await initRepository({ store: place.open('world', 'near'), credential, clock: systemClock })).close();
    const server = await startPostgres({
      ...{ major: 18, walSegmentSizeMb: 1 },
      settings: { wal_keep_size: '1GB', autovacuum: 'off' },
    });
    await server.query('CREATE TABLE history (n int PRIMARY KEY); CREATE TABLE item (i int, text text)');
    const common = { stateDirectory: scratch, clock: hasty, progress: silentProgress };
    const dispose = () => server.dispose();
    return { place, weather, server, common, backups: [], reported: 0n, openThrough, [Symbol.asyncDispose]: dispose };
  }

  /** A backup beside a receiver, a verification and a restore, all behind faults. */
  async function playRound(world: World, round: number): Promise<void> {
    const { place, weather, server, common } = world;
    const repository = await weather.insist('open', () => world.openThrough(place.open('world', 'faulty')));
    let durable = 0n;
    const protection = keepReceiving(() =>
      startReceiver({
        ...{ repository, source: server.backupSocketUrl, stateDirectory: scratch, flushIntervalMs: 50, clock: hasty },
        onEvent: (event) => {
          if (event.kind === 'flush-reported' && event.lsn > world.reported) world.reported = event.lsn;
          if (event.kind === 'progress') durable = event.progress.durableLsn;
        },
      }),
    );
    try {
      for (let n = 0; n < 3; n++) await write(server, round * 10 + n);
      const source = targetOf(server.backupSocketUrl);
      const { snapshot } = await weather.insist('back up', () =>
        runBackup({ ...common, repository, source, cluster: 'main', checkpoint: 'fast' }),
      );
      world.backups.push(snapshot.id);
      await write(server, round * 10 + 3);
      const end = await flushLsnOf(server);
      const deadline = systemClock.monotonic() + WAIT_MS_MAX;
      while (durable < end) {
        assert.ok(systemClock.monotonic() < deadline, `WAL is durable up to ${durable} and not up to ${end}`);
        await systemClock.sleep(20);
      }
    } finally {
      await protection.stop(weather.met);
    }
    // Bits that flip on the way may look like damage; what it says without faults is judged at the end.
    await weather.insist('verify', () => verifySnapshots({ ...common, repository, record: false }));
    const straight = await world.openThrough(place.open('world', 'near'));
    const truth = await restoreFiles(world, straight);
    const found = await weather.insist('restore', () => restoreFiles(world, repository, truth));
    place.proxy.heal();
    assertSameFiles(readRestoredFiles(found.into), readRestoredFiles(truth.into));
    for (const { into } of [found, truth]) await rm(into, { recursive: true });
    await repository.close();
    await straight.close();
  }

  /** With `like` only what that restore brought back is wanted: an older listing hides the newest, which a person sees in the proposal. */
  async function restoreFiles(world: World, repository: Repository, like?: Restored): Promise<Restored> {
    const into = join(scratch, `restored-${world.weather.random.below(2 ** 31)}`);
    const { proposal } = await runRestore({ ...latestOf(world, repository, like?.proposal), into });
    return { into, proposal };
  }

  function latestOf({ common }: World, repository: Repository, like: RestoreProposal | undefined) {
    const onProposal = ({ snapshot, target }: RestoreProposal) => {
      if (like === undefined) return;
      if (snapshot.id === like.snapshot.id && target.reachedLsn === like.target.reachedLsn) return;
      throw new HoldfastError('RESTORE_PROPOSAL_OUTDATED', 'cannot take this proposal: it is not what is wanted');
    };
    return { ...common, repository, cluster: 'main', target: { kind: 'latest' }, onProposal } as const;
  }

  /** What must hold once nothing goes wrong any more; and a server that was restored through faults has every row. */
  async function judge(world: World): Promise<void> {
    const { place, weather, server, common, backups, reported, openThrough } = world;
    place.proxy.heal();
    await place.proxy.settled();
    const straight = await openThrough(place.open('world', 'near'));
    const verified = await verifySnapshots({ ...common, repository: straight, record: false });
    assert.ok(verified.isSound, 'what is stored is sound');
    const listed = new Set(verified.snapshots.map(({ snapshot }) => snapshot.id));
    assert.deepEqual(
      backups.filter((id) => !listed.has(id)),
      [],
      'every backup that was committed is there',
    );
    const stored = await compareWithServer(straight, server, await onlyLineage(straight));
    assert.equal(stored.runs, 1, 'the WAL has no gap');
    assert.ok(stored.end >= reported, `WAL is stored up to ${stored.end}, ${reported} was reported`);
    const [rows] = await server.query<{ rows: string }>(
      `SELECT string_agg(n::text, ' ' ORDER BY n) AS rows FROM history`,
    );
    const { proposal } = await restoreFiles(world, straight);
    await straight.close();
    const repository = await weather.insist('open', () => openThrough(place.open('world', 'faulty')));
    const { instance } = await weather.insist('restore and start', () =>
      runRestore({
        ...latestOf(world, repository, proposal),
        into: join(scratch, `started-${weather.random.below(2 ** 31)}`),
        ...(runsAsRoot ? { owner: nobody } : {}),
        start: { binDirectory: server.binDirectory },
      }),
    );
    try {
      assert.equal(await historyOf(instance!.instance), rows!.rows);
    } finally {
      await instance!.stop();
      await repository.close();
    }
  }
});

/** One row that is looked for afterwards, and enough besides to fill WAL, but not the disk. */
async function write(server: PostgresServer, n: number): Promise<void> {
  await server.query('TRUNCATE item');
  await server.query('INSERT INTO item SELECT i, md5(i::text) FROM generate_series(1, 2000) i');
  await server.query(`INSERT INTO history VALUES (${n})`);
}

/** A receiver that is started again whenever it gives up, until it is stopped. */
function keepReceiving(start: () => RunningReceiver): { stop(met: MetCodes): Promise<void> } {
  let isWanted = true;
  let current: RunningReceiver;
  const failures: unknown[] = [];
  const running = (async () => {
    while (isWanted) {
      current = start();
      await current.ended.catch((error: unknown) => failures.push(error));
    }
  })();
  return {
    stop: async (met) => {
      isWanted = false;
      await current.stop().catch(() => {}); // It is among the failures.
      await running;
      for (const error of failures) {
        if (!(error instanceof HoldfastError)) throw error;
        met.set(error.code, (met.get(error.code) ?? 0) + 1);
      }
    },
  };
}

async function spoolFile(store: ObjectStore, bytes: Uint8Array): Promise<string> {
  const path = newSpoolPath(await store.spoolDirectory());
  await writeFile(path, bytes);
  return path;
}
