import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { healRepository, verifySnapshots } from '../../src/prove/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { reopenRepository, targetOf } from '../support/repository.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

it('lost WAL is taken back from the server that wrote it, and never from a copy of it that wrote records of the same lengths', async () => {
  const world = await startProtectedServer(18, {
    autovacuum: 'off',
    checkpoint_timeout: '1h',
    bgwriter_delay: '10s',
    wal_keep_size: '512MB',
  });
  try {
    await world.server.query('CREATE TABLE v (a int, b text)');
    await world.backUp();
    await world.settle();
    await world.receiver.stop();
    await world.server.stop();
    const copyDir = join(world.scratch, 'copy');
    await cp(world.server.dataDirectory, copyDir, { recursive: true });
    const work = async (server: PostgresServer, letter: string) => {
      for (let i = 0; i < 4; i++) {
        for (let j = 0; j < 20; j++) await server.query(`INSERT INTO v VALUES (${j}, '${letter.repeat(50)}')`);
        await server.query('SELECT pg_switch_wal()');
      }
    };
    await world.server.restart();
    await work(world.server, 'a');
    const receiver = startReceiver({
      repository: world.repository,
      stateDirectory: world.place.stateDirectory,
      source: world.server.backupSocketUrl,
      flushIntervalMs: 100,
    });
    await receiver.durable(await flushLsnOf(world.server));
    await receiver.stop();
    await using copy = await startPostgres({ major: 18, dataDirectory: copyDir });
    await untilOpen(copy);
    await work(copy, 'b');
    const segments: string[] = [];
    for await (const { name } of world.repository.store.list('wal/'))
      if (name.includes('/segments/')) segments.push(name);
    const victim = join(world.place.path, segments.at(-3)!);
    const bytes = readFileSync(victim);
    bytes[bytes.length >> 1]! ^= 1;
    rmSync(victim);
    writeFileSync(victim, bytes);
    const options = { stateDirectory: world.place.stateDirectory, clock: systemClock, progress: silentProgress };
    const repository = await reopenRepository(world.place.path);
    try {
      const found = await verifySnapshots({ repository, record: true, ...options });
      assert.deepEqual(
        found.damage.map(({ object, state }) => [object, state]),
        [[segments.at(-3), 'harmful']],
      );
      const healFrom = async (server: PostgresServer) =>
        (await healRepository({ repository, source: targetOf(server.backupSocketUrl), ...options })).wal;
      const [fromCopy] = await healFrom(copy);
      assert.match(fromCopy!.problem ?? '', /other WAL behind it than is stored/);
      const [healed] = await healFrom(world.server);
      assert.equal(healed!.problem, null);
      assert.equal((await verifySnapshots({ repository, record: true, ...options })).isSound, true);
    } finally {
      await repository.close();
    }
  } finally {
    await world.dispose();
  }
});
