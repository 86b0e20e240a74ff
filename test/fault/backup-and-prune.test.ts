import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type Clock, silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import {
  ChunkReader,
  listTreeChunks,
  openDiskStore,
  openRepository,
  type PutOutcome,
} from '../../src/repository/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, reopenRepository, targetOf, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** A store in which somebody else does something just before a backup announces its snapshot: all its chunks are stored or counted upon. */
class OvertakenStore extends FaultyStore {
  onPending: () => Promise<void> = async () => {};

  override async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    if (name.startsWith('snapshots/pending/')) await this.onPending();
    return super.putIfAbsent(name, parts);
  }
}

describe('a backup that a prune overtakes', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('backup-and-prune');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** A repository with a first backup, and a second way into it through a store that can be overtaken. */
  async function openOvertaken(name: string, clock: Clock = systemClock) {
    const { path, stateDirectory, repository: first } = await makeRepository(scratch, name);
    const options = { stateDirectory, source: targetOf(server.backupSocketUrl), cluster: 'main', workers: 1 };
    const common = { ...options, clock: systemClock, progress: silentProgress };
    await runBackup({ ...common, repository: first, checkpoint: 'fast' });
    await first.close();
    const store = new OvertakenStore(openDiskStore(path));
    const repository = await openRepository({ store, credential: testCredential, access: 'write', clock });
    return { path, store, repository, backUp: () => runBackup({ ...common, repository, checkpoint: 'fast' }) };
  }

  it('stores again what is about to go, before it is listed', async () => {
    const { path, store, repository, backUp } = await openOvertaken('tombstones');
    const packs: string[] = [];
    for await (const { name } of store.list('packs/')) packs.push(name.slice('packs/'.length));
    store.onPending = async () => {
      const record = { version: 1, createdAt: new Date().toISOString(), packs };
      await repository.putJson('tombstone', `tombstones/${'0'.repeat(64)}`, record);
    };
    const { snapshot } = await backUp();
    for (const pack of packs) await store.delete(`packs/${pack}`);
    await repository.close();

    const reopened = await reopenRepository(path, 'read');
    const index = await reopened.loadIndex();
    const { readChunk } = new ChunkReader({ store: reopened.store, keys: reopened.keys, index });
    let chunks = 0;
    for await (const { id } of listTreeChunks(snapshot.tree.root, readChunk)) {
      await readChunk(id);
      chunks += 1;
    }
    assert.ok(chunks > 100, `all of ${chunks} chunks are there`);
    index.close();
    await reopened.close();
  });

  it('writes what it is about to list before it looks at what is about to go', async () => {
    const { store, repository, backUp } = await openOvertaken('order');
    await backUp();
    await repository.close();
    const placeOf = (call: string) => store.calls.findLastIndex((made) => made.startsWith(call));
    const places = ['putIfAbsent index/', 'putIfAbsent snapshots/pending/', 'list tombstones/'].map(placeOf);
    places.push(placeOf('putIfAbsent snapshots/committed/'));
    assert.ok(!places.includes(-1));
    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
  });

  it('is not listed when its lease ended meanwhile', async () => {
    let sleptMs = 0;
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + sleptMs };
    const { path, store, repository, backUp } = await openOvertaken('lease', clock);
    store.onPending = async () => {
      sleptMs = 20 * 60_000;
    };
    await assert.rejects(backUp(), { code: 'LEASE_LOST' });
    await repository.close();
    const reopened = await reopenRepository(path, 'read');
    assert.equal((await reopened.listSnapshots()).snapshots.length, 1, 'only the first one');
    await reopened.close();
  });
});
