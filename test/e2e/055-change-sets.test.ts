import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { formatLsn, parseLsn } from '../../src/postgres/index.ts';
import {
  type ChangeSet,
  currentLineage,
  forkKey,
  type ReadChangeSet,
  readChangeSet,
  readWalInventory,
} from '../../src/protect/wal/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { prepareVariedChanges, writeVariedChanges } from '../support/varied-changes.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

const ROUNDS = 4;

/** What one of the server's own summaries says, by fork. */
interface Summary {
  readonly from: bigint;
  readonly to: bigint;
  readonly forks: Map<string, { limit: number | null; blocks: Set<number> }>;
}

describe('change sets that are derived from the WAL', () => {
  const stack = new AsyncDisposableStack();
  let server: PostgresServer;
  let place: TestRepository;
  let summaries: Summary[];
  let system: string;

  before(async () => {
    const scratch = await makeScratchDirectory('change-sets');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    server = stack.use(
      await startPostgres({
        major: 18,
        // Many borders between segments, and with them records that reach over one.
        walSegmentSizeMb: 1,
        settings: { summarize_wal: 'on', max_prepared_transactions: '5', wal_compression: 'pglz' },
      }),
    );
    await prepareVariedChanges(server);
    place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
    const { repository, stateDirectory } = place;
    const source = server.backupSocketUrl;
    const receive = () => startReceiver({ repository, stateDirectory, source, flushIntervalMs: 100 });
    const [row] = await server.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
    system = row!.id;
    for (let round = 0; round < ROUNDS; round++) {
      // Each time another receiver, which begins in the middle of a record mostly.
      await using receiver = receive();
      await writeVariedChanges(server, round);
      await server.query('CHECKPOINT');
      await receiver.durable(await flushLsnOf(server));
    }
    const inventory = await readWalInventory(repository, system);
    const { startLsn } = currentLineage(inventory, system, 'main')!.header;
    summaries = (await readSummaries(server)).filter(({ from }) => from > startLsn);
  });
  after(() => stack.disposeAsync());

  const expectSame = (set: ChangeSet, summary: Summary) => {
    const { own, server } = linesOf(set, summary);
    assert.deepEqual(own, server);
  };

  const read = async (range: { from: bigint; to: bigint }): Promise<Extract<ReadChangeSet, { kind: 'known' }>> => {
    const { repository } = place;
    const inventory = await readWalInventory(repository, system);
    const { lineage } = currentLineage(inventory, system, 'main')!;
    const found = await readChangeSet(repository, inventory, { lineage, timeline: 1, ...range });
    assert.equal(found.kind, 'known', JSON.stringify(found));
    return found as Extract<ReadChangeSet, { kind: 'known' }>;
  };

  it("are the server's own summaries, block by block and limit by limit", async () => {
    assert.ok(summaries.length >= ROUNDS);
    let stored = 0;
    for (const summary of summaries) {
      const { set, storedSegments } = await read(summary);
      stored += storedSegments;
      expectSame(set, summary);
    }
    assert.ok(stored > 0, 'most of the WAL need not be read again');
  });

  it('are the same for several summaries together', async () => {
    const { set, scannedBytes } = await read({ from: summaries[0]!.from, to: summaries.at(-1)!.to });
    expectSame(set, mergeSummaries(summaries));
    assert.ok(scannedBytes < 8 << 20, `${scannedBytes} bytes of WAL were read again`);
  });

  it('are the same when nothing of them is stored, from the WAL alone', async () => {
    const { store } = place.repository;
    for await (const { name } of store.list('wal/')) if (/\.changes\d*$/.test(name)) await store.delete(name);
    const { set, storedSegments } = await read({ from: summaries[0]!.from, to: summaries.at(-1)!.to });
    assert.equal(storedSegments, 0);
    expectSame(set, mergeSummaries(summaries));
  });

  it('are refused for a range of which WAL is missing, with the reason', async () => {
    const { repository } = place;
    const inventory = await readWalInventory(repository, system);
    const { lineage } = currentLineage(inventory, system, 'main')!;
    const last = summaries.at(-1)!;
    const to = last.to + (1n << 40n);
    const found = await readChangeSet(repository, inventory, { lineage, timeline: 1, from: last.from, to });
    assert.equal(found.kind, 'not-known');
    assert.match((found as { reason: string }).reason, new RegExp(`not up to ${formatLsn(to)}`));
  });
});

async function readSummaries(server: PostgresServer): Promise<Summary[]> {
  const files = await server.query<{ tli: string; from: string; to: string }>(
    'SELECT tli::text, start_lsn::text AS from, end_lsn::text AS to FROM pg_available_wal_summaries() ORDER BY start_lsn',
  );
  const summaries: Summary[] = [];
  for (const { tli, from, to } of files) {
    const rows = await server.query<{ key: string; block: string; limit: boolean }>(`
      SELECT reltablespace || '/' || reldatabase || '/' || relfilenode || '/' || relforknumber AS key,
             relblocknumber::text AS block, is_limit_block AS limit
      FROM pg_wal_summary_contents(${tli}, '${from}', '${to}')`);
    const forks: Summary['forks'] = new Map();
    for (const { key, block, limit } of rows) {
      const fork = forks.get(key) ?? { limit: null, blocks: new Set<number>() };
      forks.set(key, fork);
      if (limit) fork.limit = Number(block);
      else fork.blocks.add(Number(block));
    }
    summaries.push({ from: parseLsn(from), to: parseLsn(to), forks });
  }
  return summaries;
}

/** As the server puts its summaries together when it prepares an increment. */
function mergeSummaries(summaries: readonly Summary[]): Summary {
  const forks: Summary['forks'] = new Map();
  for (const summary of summaries) {
    for (const [key, { limit, blocks }] of summary.forks) {
      const fork = forks.get(key) ?? { limit: null, blocks: new Set<number>() };
      forks.set(key, fork);
      if (limit !== null) {
        fork.limit = Math.min(limit, fork.limit ?? limit);
        for (const block of fork.blocks) if (block >= limit) fork.blocks.delete(block);
      }
      for (const block of blocks) fork.blocks.add(block);
    }
  }
  return { from: summaries[0]!.from, to: summaries.at(-1)!.to, forks };
}

/** The lines of both. What lies behind a limit is made anew anyway; there the server says more than it need, as it takes only the first cut of several to heart. */
function linesOf(set: ChangeSet, { forks }: Summary): { own: string[]; server: string[] } {
  const ours = new Map(set.map((fork) => [forkKey(fork), fork]));
  const lines = [...forks].map(([key, { limit, blocks }]) => {
    const known = new Set(ours.get(key)?.blocks);
    return inWords(
      key,
      limit,
      [...blocks].filter((block) => limit === null || block < limit || known.has(block)),
    );
  });
  return { own: set.map((fork) => inWords(forkKey(fork), fork.limit, [...fork.blocks])).sort(), server: lines.sort() };
}

function inWords(key: string, limit: number | null, blocks: readonly number[]): string {
  return `${key} limit ${limit ?? 'none'}: ${[...blocks].sort((a, b) => a - b).join(' ')}`;
}
