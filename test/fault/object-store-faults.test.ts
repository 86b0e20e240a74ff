import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';
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
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type HttpFaultKind, httpFaultKinds, randomFaults } from '../support/http-fault.ts';
import { keyFileIn } from '../support/memory-repository.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { historyOf } from '../support/protected-server.ts';
import { type MetCodes, repeatUntilDone } from '../support/repeat-until-done.ts';
import { targetOf } from '../support/repository.ts';
import { assertSameFiles, readRestoredFiles } from '../support/restored-files.ts';
import { type S3Server, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
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

describe('a store behind a network that does everything wrong', { skip: whyNoS3Server() }, () => {
  const seed = Number(process.env.HOLDFAST_SEED ?? randomInt(2 ** 31));
  const met: MetCodes = new Map();
  let random: Random;
  let s3: S3Server;
  let proxy: FaultProxy;
  let scratch: string;
  let bucket: string;

  before(async () => {
    random = seededRandom(seed);
    scratch = await makeScratchDirectory('store-faults');
    s3 = await startS3Server();
    bucket = await s3.makeBucket();
    proxy = await startFaultProxy({ target: s3.endpoint, seed, silenceMs: 100, lateMs: 50 });
  });
  beforeEach(() => {
    proxy.heal();
    met.clear();
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await s3?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  const open = (prefix: string, through: 'near' | 'faulty'): ObjectStore =>
    openStore(
      `s3://${bucket}/${prefix}?region=${s3.region}&endpoint=${through === 'near' ? s3.endpoint : proxy.endpoint}`,
      {
        clock: hasty,
        scratchDirectory: scratch,
        credentials: {
          kind: 'access-key',
          accessKeyId: s3.admin.accessKeyId,
          secretAccessKey: new Secret(s3.admin.secretAccessKey),
        },
      },
    );

  const spoil = (oneIn: number, kinds: readonly HttpFaultKind[] = httpFaultKinds) =>
    proxy.use(randomFaults(random, oneIn, kinds));
  /** Repeats as a whole what gave up in spite of all its own repetitions. */
  const insist = <T>(what: string, attempt: () => Promise<T>, kinds?: readonly HttpFaultKind[]): Promise<T> => {
    spoil(ONE_IN_FIRST, kinds);
    const ease = (failed: number) => spoil(ONE_IN_FIRST * 2 ** failed, kinds);
    return repeatUntilDone(what, attempt, { met, attemptsMax: ATTEMPTS_MAX, ease });
  };

  const tell = (test: TestContext) => {
    const counts = (entries: Iterable<[string, number]>) =>
      [...entries].map(([name, count]) => `${name} ${count}`).join(', ');
    test.diagnostic(`HOLDFAST_SEED=${seed} HOLDFAST_FAULTS=${FAULTS}`);
    test.diagnostic(`happened: ${counts(Object.entries(proxy.happened).filter(([, count]) => count > 0))}`);
    test.diagnostic(`repeated as a whole after: ${counts(met)}`);
  };

  it('lets one of two writers of a name win, and keeps the bytes of that one whole', async (test) => {
    const until = proxy.happenedInAll + FAULTS / 2;
    const near = open('race', 'near');
    for (let n = 0; proxy.happenedInAll < until; n += RACES_AT_ONCE) {
      await Promise.all(Array.from({ length: RACES_AT_ONCE }, (_, i) => race(near, `packs/${n + i}`)));
    }
    tell(test);
  });

  async function race(near: ObjectStore, name: string): Promise<void> {
    const writers = await Promise.all(
      [0, 1].map(async () => {
        const store = open('race', 'faulty');
        const body = random.bytes(1 + random.below(20_000));
        const asFile = random.below(2) === 0;
        let isSure = true;
        const outcome = await insist(`put ${name}`, async () => {
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
    const stored = await near.get(name);
    const owner = writers.find(({ body }) => body.equals(stored));
    assert.ok(owner !== undefined, `${name} holds what one of the writers had`);
    for (const writer of writers) {
      if (writer === owner) assert.ok(writer.outcome === 'created' || !writer.isSure, `${name}: the owner is told`);
      else assert.equal(writer.outcome, 'exists', `${name}: only one is told that it is the owner`);
    }
  }

  it('brings backups, WAL, verifications and restores through: nothing is lost, and no wrong byte is restored', async (test) => {
    await using world = await startWorld();
    const until = proxy.happenedInAll + FAULTS / 2;
    for (let round = 1; proxy.happenedInAll < until; round++) await playRound(world, round);
    await judge(world);
    tell(test);
  });

  /** A small server, and a repository for it. */
  interface World extends AsyncDisposable {
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

  async function startWorld(): Promise<World> {
    const credential = await keyFileIn(scratch);
    const openThrough = (store: ObjectStore) =>
      openRepository({ store, credential, access: 'write', clock: systemClock, stateDirectory: scratch });
    await (await initRepository({ store: open('world', 'near'), credential, clock: systemClock })).close();
    const server = await startPostgres({
      ...{ major: 18, walSegmentSizeMb: 1 },
      settings: { wal_keep_size: '1GB', autovacuum: 'off' },
    });
    await server.query('CREATE TABLE history (n int PRIMARY KEY); CREATE TABLE item (i int, text text)');
    const common = { stateDirectory: scratch, clock: hasty, progress: silentProgress };
    const dispose = () => server.dispose();
    return { server, common, backups: [], reported: 0n, openThrough, [Symbol.asyncDispose]: dispose };
  }

  /** A backup beside a receiver, a verification and a restore, all behind faults. */
  async function playRound(world: World, round: number): Promise<void> {
    const { server, common } = world;
    const repository = await insist('open', () => world.openThrough(open('world', 'faulty')));
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
      const { snapshot } = await insist('back up', () => runBackup({ ...common, repository, source, cluster: 'main' }));
      world.backups.push(snapshot.id);
      await write(server, round * 10 + 3);
      const end = await flushLsnOf(server);
      const deadline = systemClock.monotonic() + WAIT_MS_MAX;
      while (durable < end) {
        assert.ok(systemClock.monotonic() < deadline, `WAL is durable up to ${durable} and not up to ${end}`);
        await systemClock.sleep(20);
      }
    } finally {
      await protection.stop(met);
    }
    // Bits that flip on the way may look like damage; what it says without faults is judged at the end.
    await insist('verify', () => verifySnapshots({ ...common, repository, record: false }));
    const straight = await world.openThrough(open('world', 'near'));
    const truth = await restoreFiles(world, straight);
    const found = await insist('restore', () => restoreFiles(world, repository, truth));
    proxy.heal();
    assertSameFiles(readRestoredFiles(found.into), readRestoredFiles(truth.into));
    for (const { into } of [found, truth]) await rm(into, { recursive: true });
    await repository.close();
    await straight.close();
  }

  /** With `like` only what that restore brought back is wanted: an older listing hides the newest, which a person sees in the proposal. */
  async function restoreFiles(world: World, repository: Repository, like?: Restored): Promise<Restored> {
    const into = join(scratch, `restored-${random.below(2 ** 31)}`);
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
    const { server, common, backups, reported, openThrough } = world;
    proxy.heal();
    await proxy.settled();
    const straight = await openThrough(open('world', 'near'));
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
    const repository = await insist('open', () => openThrough(open('world', 'faulty')));
    const { instance } = await insist('restore and start', () =>
      runRestore({
        ...latestOf(world, repository, proposal),
        into: join(scratch, `started-${random.below(2 ** 31)}`),
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
