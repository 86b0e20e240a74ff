import { join } from 'node:path';
import { loadTables, measureDataBytes } from '../data-set.ts';
import { measureCommand } from '../measure.ts';
import { startOwnServer } from '../own-server.ts';
import { removeAndForget, requireRestored } from '../restored.ts';
import { type BenchRow, type Entrant, inTurn, type RowContext } from '../row.ts';
import type { BenchServer } from '../server.ts';
import { Holdfast, measureTables, Pgbackrest } from '../tools/index.ts';
import { checkpoint, dropSlots } from '../workload.ts';

/** At scale 1, the half of them tables, the other half their primary keys. */
const relationsAtScaleOne = 100_000;

const works = ['full', 'increment', 'restore'] as const;
type Work = (typeof works)[number];

const setups: Record<Work, string> = {
  full: 'BASE_BACKUP over the Unix socket, with the WAL it needs',
  increment: 'UPLOAD_MANIFEST and BASE_BACKUP (INCREMENTAL) over the Unix socket; the WAL before was stored',
  restore: 'of the increment, from the local disk into an empty directory, made durable, not started',
};

/** What each file costs, apart from the bytes in it. */
export const manyRelations: BenchRow = {
  name: 'many-relations',
  title: `full backup, increment when nothing changed, and restore of ${relationsAtScaleOne.toLocaleString('en')} small relations (at scale 1)`,
  comparisons: works.map((work) => ({ ours: `holdfast, ${work}`, against: `pgbackrest, ${work}`, aims: {} })),
  onlyByName: true,
  async run(context) {
    await using server = await startOwnServer(context);
    const relations = await createRelations(server, Math.max(1, Math.round((relationsAtScaleOne * context.scale) / 2)));
    const megabytes = (measureDataBytes(server) / 1e6).toFixed(1);
    for (let round = 1; round <= context.rounds; round++) await measureRound(context, server, round);
    context.note(`${relations} relations, in a server of their own: ${megabytes} MB without pg_wal.`);
  },
};

/** One of the two that are compared, with a repository of its own. */
interface Contender {
  readonly tool: Holdfast | Pgbackrest;
  entrant(work: Work): Entrant;
  command(work: Work): Parameters<typeof measureCommand>[0];
  /** Unmeasured, before each backup. */
  bringWal(): Promise<void>;
  /** Refuses a backup that was to be an increment and was none. */
  requireIncrement(): Promise<void>;
  /** Where it restores to. */
  readonly into: string;
}

async function measureRound(context: RowContext, server: BenchServer, round: number): Promise<void> {
  const expected = await measureTables(join(server.workplace.outside, 'data'));
  const contenders = [await preparePgbackrest(context, server, round), await prepareHoldfast(context, server, round)];
  for (const work of works) {
    for (const contender of inTurn(contenders, round)) {
      if (work === 'restore') {
        const measurement = await measureCommand(contender.command(work), server.pid);
        await requireRestored(contender.into, expected);
        await removeAndForget(contender.into);
        context.add(contender.entrant(work), round, measurement);
      } else {
        await checkpoint(server);
        await contender.bringWal();
        const before = await contender.tool.storedBytes();
        const measurement = await measureCommand(contender.command(work), server.pid);
        if (work === 'increment') await contender.requireIncrement();
        context.add(contender.entrant(work), round, measurement, (await contender.tool.storedBytes()) - before);
      }
    }
  }
  // The next round's repository begins its WAL anew.
  await dropSlots(server);
}

async function preparePgbackrest(context: RowContext, server: BenchServer, round: number): Promise<Contender> {
  const tool = new Pgbackrest(context.peers, server, await context.directory(`pgbackrest-${round}`));
  await tool.prepare();
  return {
    tool,
    entrant: (work) => ({ ...tool.entrant, name: `pgbackrest, ${work}` }),
    command: (work) => (work === 'restore' ? tool.restore() : tool.backup(work === 'full' ? 'full' : 'incr')),
    bringWal: async () => undefined,
    requireIncrement: async () => undefined,
    into: tool.restored,
  };
}

async function prepareHoldfast(context: RowContext, server: BenchServer, round: number): Promise<Contender> {
  const directory = await context.directory(`holdfast-${round}`);
  const tool = new Holdfast(server, directory);
  const into = join(directory.outside, 'restored');
  await tool.prepare();
  return {
    tool,
    entrant: (work) => tool.entrant(`holdfast, ${work}`, setups[work]),
    command: (work) =>
      work === 'restore' ? tool.restore(into) : tool.backup({ type: work === 'full' ? 'full' : 'incremental' }),
    bringWal: () => tool.bringWal(),
    requireIncrement: () => tool.requireIncrement(),
    into,
  };
}

/** Each holds a few locks until its transaction ends, of 6,400 that the server has room for (`max_locks_per_transaction`). */
const tablesOfTransaction = 500;

/** Gives how many relations there are now that no server has from the beginning. A session does not forget the relations it has seen, so each transaction has its own. */
async function createRelations(server: BenchServer, tables: number): Promise<number> {
  await loadTables(server, async () => {
    for (let from = 1; from <= tables; from += tablesOfTransaction) {
      const to = Math.min(tables, from + tablesOfTransaction - 1);
      await using session = await openSession(server);
      await session.client.query(
        `DO $$ BEGIN
           FOR n IN ${from}..${to} LOOP
             EXECUTE format('CREATE TABLE entries_%s (entry_id int PRIMARY KEY, amount_cents bigint)', n);
             EXECUTE format('INSERT INTO entries_%s SELECT entry, entry * %s FROM generate_series(1, 20) entry', n, n);
           END LOOP;
         END $$`,
      );
    }
  });
  await using session = await openSession(server);
  const { rows } = await session.client.query<{ relations: number }>(
    'SELECT count(*)::int AS relations FROM pg_class WHERE oid >= 16384 AND relfilenode <> 0',
  );
  return rows[0]!.relations;
}

async function openSession(server: BenchServer) {
  const client = await server.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}
