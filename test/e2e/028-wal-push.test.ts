import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { readWalInventory } from '../../src/protect/wal/index.ts';
import { Acknowledgements, pushWalFile } from '../../src/protect/wal/push/index.ts';
import { initRepository, openDiskStore } from '../../src/repository/index.ts';
import { documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { mountSmallDisk, whyNoSmallDisk } from '../support/small-disk.ts';
import { compareWithServer, flushLsnOf, onlyLineage, startReceiver } from '../support/wal-receiver.ts';

/** Pushes a file as the command does, in this process; counts how often the repository had to be opened. */
async function push(place: TestRepository, path: string, cluster: string | null = 'main') {
  let opened = 0;
  const alarms: string[] = [];
  const result = await pushWalFile({
    path,
    store: openDiskStore(place.path),
    openRepository: async () => {
      opened += 1;
      return place.repository;
    },
    stateDirectory: place.stateDirectory,
    ...{ cluster, clusterDefault: 'main', clock: systemClock, signal: new AbortController().signal },
    onAlarm: ({ alarm }) => void alarms.push(alarm),
  });
  return { ...result, opened, alarms };
}

describe('WAL that is pushed', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('wal-push');
    const settings = { wal_keep_size: '256MB', autovacuum: 'off', archive_mode: 'on', archive_command: 'false' };
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i');
    await server.query('SELECT pg_switch_wal()');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  it('is kept once, with what waits behind it, and the same again is success', async () => {
    const place = await makeRepository(scratch, 'again');
    const wal = join(server.dataDirectory, 'pg_wal');
    const waiting = await listWaiting(server);
    assert.ok(waiting.length >= 2, `${waiting}`);
    const first = await push(place, join(wal, waiting[0]!));
    assert.deepEqual([first.road, first.isNew, first.ahead], ['repository', true, waiting.slice(1)]);
    for (const name of waiting.slice(1)) {
      const next = await push(place, join(wal, name));
      assert.deepEqual([next.road, next.opened], ['acknowledged', 0]);
      const again = await push(place, join(wal, name));
      assert.deepEqual([again.road, again.isNew], ['repository', false]);
    }
    const lineage = await onlyLineage(place.repository);
    const { segments, runs } = await compareWithServer(place.repository, server, lineage);
    assert.deepEqual([segments, runs], [waiting.length, 1]);
  });

  it('is refused under the name of a stored one with other content, also where no record tells the difference', async () => {
    const place = await makeRepository(scratch, 'altered');
    const wal = join(server.dataDirectory, 'pg_wal');
    const [name] = await listWaiting(server);
    await push(place, join(wal, name!));
    const bytes = await readFile(join(wal, name!));
    const directory = join(scratch, 'altered-files');
    await mkdir(directory);
    // Behind its last whole record, which no checksum holds, and in the middle of what the server wrote.
    for (const at of [bytes.length - 1, 20_000]) {
      const altered = Buffer.from(bytes);
      altered[at]! ^= 1;
      await writeFile(join(directory, name!), altered);
      await assert.rejects(push(place, join(directory, name!)), { code: 'WAL_FILE_UNSOUND' }, `byte ${at}`);
    }
    assert.equal((await push(place, join(wal, name!))).isNew, false);
    await onlyLineage(place.repository);
  });

  it('is pushed again when what acknowledges it is of another repository, is torn, or no longer so', async () => {
    const place = await makeRepository(scratch, 'stale');
    const wal = join(server.dataDirectory, 'pg_wal');
    const waiting = await listWaiting(server);
    const { ahead } = await push(place, join(wal, waiting[0]!));
    const kept = join(place.stateDirectory, 'wal-push', place.repository.id, 'kept');
    assert.deepEqual((await readdir(kept)).sort(), [...ahead].sort());
    const roadOf = async (name: string, of = place) => (await push(of, join(wal, name))).road;

    await writeFile(join(kept, ahead[0]!), (await readFile(join(kept, ahead[0]!), 'utf8')).slice(0, 80));
    assert.equal(await roadOf(ahead[0]!), 'repository', 'torn');

    const path = join(scratch, 'stale-other');
    const store = openDiskStore(path);
    const other = {
      ...place,
      path,
      repository: await initRepository({ store, credential: testCredential, clock: systemClock }),
    };
    assert.equal(
      await roadOf(ahead[0]!, other),
      'repository',
      'of another repository, although the state directory is the same',
    );
    assert.equal((await onlyLineage(other.repository)).timelines.get(1)!.segments.has(numberOf(ahead[0]!)), true);

    const { lineage, system } = await onlyLineage(place.repository);
    await new Acknowledgements(place.stateDirectory, place.repository.id).add({
      ...{ cluster: 'main', name: ahead[0]!, size: 1048576, sha256: 'a'.repeat(64) },
      objects: [{ name: `wal/${system}/${lineage}/segments/${ahead[0]}`, size: 1 }],
    });
    assert.equal(await roadOf(ahead[0]!), 'repository', 'of another content');
    assert.equal((await push(place, join(wal, waiting[0]!), 'elsewhere')).road, 'repository', 'for another cluster');
  });

  it('is kept by a receiver that runs, or by oneself when nobody answers at its socket', async () => {
    const place = await makeRepository(scratch, 'beside');
    const environment = environmentOf(place);
    const database = { ...environment, DATABASE_URL: server.backupUrl };
    const stream = startHoldfast(['wal', 'stream', '--events', '--slot', 'holdfast_beside'], { environment: database });
    try {
      await stream.said(/"state":"streaming"/);
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
      await server.query('SELECT pg_switch_wal()');
      const [last] = (await listWaiting(server)).slice(-1);
      const path = join(server.dataDirectory, 'pg_wal', last!);
      for (const isNew of [undefined, false]) {
        const run = await runHoldfast(['wal', 'push', path, '--json'], { environment });
        assert.equal(run.code, 0, run.stderr);
        const document = documentOf<{ outcome: string; new: boolean }>(run);
        assert.equal(document.outcome, 'receiver');
        if (isNew !== undefined) assert.equal(document.new, isNew);
      }
      assert.equal((await onlyLineage(place.repository)).timelines.get(1)!.segments.has(numberOf(last!)), true);
    } finally {
      stream.child.kill('SIGTERM');
      await stream.ended;
    }
    const lineage = await onlyLineage(place.repository);
    assert.equal(lineage.timelines.size, 1);
    const sockets = (await readdir(place.stateDirectory)).filter((name) => name.endsWith('.sock'));
    assert.deepEqual(sockets, [], 'the receiver takes its socket away');

    const [last] = (await listWaiting(server)).slice(-1);
    const socket = join(place.stateDirectory, `wal-push.${lineage.system}.sock`);
    await writeFile(socket, '');
    assert.equal((await push(place, join(server.dataDirectory, 'pg_wal', last!))).road, 'repository', 'a dead socket');
    await rm(socket);
    const silent = createServer((client) =>
      client
        .on('error', () => {})
        .resume()
        .end('what?\n'),
    );
    await new Promise<void>((resolve) => silent.listen(socket, resolve));
    assert.equal(
      (await push(place, join(server.dataDirectory, 'pg_wal', last!))).road,
      'repository',
      'another program',
    );
    await new Promise((resolve) => silent.close(resolve));
  });

  it('never meets the stream in conflict, whichever of them is first', async () => {
    const place = await makeRepository(scratch, 'together');
    await using receiver = startReceiver({ ...place, source: server.backupUrl, slot: 'holdfast_together' });
    await receiver.durable(await flushLsnOf(server));
    const pushed: string[] = [];
    for (let round = 0; round < 4; round++) {
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 15000) i');
      const [{ last }] = (await server.query<{ last: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS last')) as [
        { last: string },
      ];
      const { isNew, alarms } = await push(place, join(server.dataDirectory, 'pg_wal', last));
      assert.deepEqual(alarms, []);
      pushed.push(`${last} ${isNew}`);
    }
    await receiver.durable(await flushLsnOf(server));
    await receiver.stop();
    assert.deepEqual(
      receiver.events.filter(({ kind }) => kind === 'alarm'),
      [],
    );
    const lineage = await onlyLineage(place.repository);
    const { segments, fragments } = lineage.timelines.get(1)!;
    assert.deepEqual(
      fragments.filter(({ start }) => segments.has(start / 1048576n)),
      [],
      pushed.join(),
    );
    await compareWithServer(place.repository, server, lineage);
  });

  it('ends with 0 or 1 and nothing else, and says why', async () => {
    const place = await makeRepository(scratch, 'codes');
    const environment = environmentOf(place);
    const [name] = (await listWaiting(server)) as [string];
    const path = join(server.dataDirectory, 'pg_wal', name);
    const files = join(scratch, 'files');
    await mkdir(files);
    await writeFile(join(files, name), Buffer.alloc(1048576));
    await copyFile(path, join(files, 'report.txt'));
    await writeFile(
      join(files, `${name}.00000028.backup`),
      'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n',
    );
    const cases: [string, string[], Record<string, string>, number, RegExp][] = [
      ['zeros', [join(files, name)], environment, 1, /not the WAL that its name says/],
      ['another name', [join(files, 'report.txt')], environment, 1, /invalid WAL file name/],
      ['no file', [join(files, '0000000100000000000000FF')], environment, 1, /could not read/],
      ['no argument', [], environment, 1, /missing required argument/],
      ['a wrong passphrase', [path], { ...environment, HOLDFAST_PASSPHRASE: 'wrong' }, 1, /passphrase|key/i],
      [
        'no repository',
        [path],
        { ...environment, HOLDFAST_REPOSITORY: join(scratch, 'none') },
        1,
        /cannot find a repository/,
      ],
      ['a backup history file', [join(files, `${name}.00000028.backup`)], environment, 0, /no recovery needs/],
      ['the file', [path], environment, 0, /kept/],
    ];
    for (const [what, words, variables, code, said] of cases) {
      const run = await runHoldfast(['wal', 'push', ...words], { environment: variables });
      assert.equal(run.code, code, `${what}: ${run.stderr}`);
      assert.match(run.stdout + run.stderr, said, what);
    }
    assert.ok(existsSync(path), "the file is the server's");
  });

  it('fails while the disk of the repository is full, leaves no half of a file, and succeeds when there is space', {
    skip: whyNoSmallDisk(),
  }, async () => {
    const disk = await mountSmallDisk(join(scratch, 'small'), 48 * 1024 * 1024);
    try {
      const place = await makeRepository(disk.path);
      const environment = { ...environmentOf(place), HOLDFAST_STATE_DIR: join(scratch, 'small-state') };
      const path = join(server.dataDirectory, 'pg_wal', (await listWaiting(server))[0]!);
      for (const freeBytes of [0, 64 * 1024, 200 * 1024]) {
        await disk.fillUpTo(freeBytes);
        const run = await runHoldfast(['wal', 'push', path], { environment });
        assert.equal(run.code, 1, run.stdout);
        assert.match(run.stderr, /no space|full/i);
        await disk.empty();
        const { lineages, damaged } = await readWalInventory(place.repository);
        const stored = lineages.flatMap(({ timelines }) => [...timelines.values()].flatMap(({ ranges }) => ranges));
        assert.deepEqual([stored, damaged], [[], []]);
      }
      const run = await runHoldfast(['wal', 'push', path], { environment });
      assert.equal(run.code, 0, run.stderr);
    } finally {
      await disk[Symbol.asyncDispose]();
    }
  });

  const environmentOf = (place: TestRepository) => ({
    HOLDFAST_REPOSITORY: place.path,
    HOLDFAST_PASSPHRASE: (testCredential as { passphrase: string }).passphrase,
    HOLDFAST_STATE_DIR: place.stateDirectory,
  });
});

/** The number of a segment of 1 MiB in the first 4 GiB of WAL. */
function numberOf(name: string): bigint {
  return BigInt(`0x${name.slice(16)}`);
}

/** What waits to be archived. */
async function listWaiting(server: PostgresServer): Promise<string[]> {
  const marks = await readdir(join(server.dataDirectory, 'pg_wal', 'archive_status'));
  return marks.flatMap((mark) => /^([0-9A-F]{24})\.ready$/.exec(mark)?.[1] ?? []).sort();
}
