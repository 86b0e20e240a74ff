import { join } from 'node:path';
import { loadTables, measureDataBytes } from '../data-set.ts';
import { measureCommand } from '../measure.ts';
import { startOwnServer } from '../own-server.ts';
import { removeAndForget, requireRestored } from '../restored.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import type { BenchServer } from '../server.ts';
import { Holdfast, measureTables } from '../tools/index.ts';
import { checkpoint } from '../workload.ts';

const works = ['direct', 'stream', 'restore'] as const;

const setups: Record<(typeof works)[number], string> = {
  direct: 'full backup from the data directory',
  stream: 'full backup by BASE_BACKUP over the Unix socket',
  restore: 'restore of the streamed backup into an empty directory, made durable, not started',
};

export const growth = growthBetween('growth', 1, 4);

/** Once: a round takes minutes. */
export const growth16 = growthBetween('growth-16', 1, 16, 1);

/** Sizes are GiB at scale 1. The larger cluster is divided by the smaller, both per GiB but for memory. */
function growthBetween(name: string, smaller: number, larger: number, roundsMax = Number.POSITIVE_INFINITY): BenchRow {
  return {
    name,
    title: `what a GiB costs in a cluster of ${larger} GiB beside one of ${smaller} GiB (at scale 1); 1 is linear, memory is not per GiB`,
    comparisons: works.map((work) => ({ ours: nameOf(work, larger), against: nameOf(work, smaller), aims: {} })),
    onlyByName: true,
    async run(context) {
      await using smallServer = await startOwnServer(context);
      await using largeServer = await startOwnServer(context);
      const clusters: Cluster[] = [];
      for (const [server, gibibytes] of [[smallServer, smaller] as const, [largeServer, larger] as const]) {
        await createDocuments(server, gibibytes * context.scale);
        clusters.push({ server, gibibytes, bytes: measureDataBytes(server) });
      }
      // Once before it counts: compiled code is kept from the first run on.
      await measureCluster({ ...context, add: () => undefined }, clusters[0]!, 0);
      for (let round = 1; round <= Math.min(context.rounds, roundsMax); round++) {
        for (const cluster of inTurn(clusters, round)) await measureCluster(context, cluster, round);
      }
      for (const { gibibytes, bytes } of clusters)
        context.note(`${gibibytes} GiB: ${(bytes / 2 ** 30).toFixed(3)} GiB, in a server of its own.`);
    },
  };
}

interface Cluster {
  readonly server: BenchServer;
  /** At scale 1. */
  readonly gibibytes: number;
  /** Of the data directory without pg_wal. */
  readonly bytes: number;
}

function nameOf(work: (typeof works)[number], gibibytes: number): string {
  return `${work}, ${gibibytes} GiB`;
}

/** Each into a repository of its own, which goes before the next, so that the largest needs no more room than it must. */
async function measureCluster(context: RowContext, cluster: Cluster, round: number): Promise<void> {
  const { server, gibibytes, bytes } = cluster;
  for (const manner of inTurn(['direct', 'stream'] as const, round)) {
    const { outside, inside } = await context.directory(`${manner}-${gibibytes}-${round}`);
    const tool = new Holdfast(server, { outside, inside });
    const entrant = (work: (typeof works)[number]) => tool.entrant(nameOf(work, gibibytes), setups[work]);
    await tool.prepare();
    await checkpoint(server);
    const backup = await measureCommand(tool.backup({ type: 'full', direct: manner === 'direct' }), server.pid);
    context.add(entrant(manner), round, backup, await tool.storedBytes(), bytes);
    if (manner === 'stream') {
      const into = join(outside, 'restored');
      const restore = await measureCommand(tool.restore(into), server.pid);
      await requireRestored(into, await measureTables(join(server.workplace.outside, 'data')));
      context.add(entrant('restore'), round, restore, undefined, bytes);
    }
    await removeAndForget(outside);
  }
}

/** Eight rows fill a page. */
const rowsOfGibibyte = 2 ** 17 * 8;

/**
 * Fills the server with so much. Rows are wide, as 16 GiB of the other data set would take longer to make than to measure; a row is four tenths
 * hexadecimal digits, so that all compresses about four times, as the other data set does. No two pages are equal.
 */
async function createDocuments(server: BenchServer, gibibytes: number): Promise<void> {
  await loadTables(server, async (client) => {
    await client.query('BEGIN');
    await client.query('CREATE TABLE documents (document_id bigint, kind int, body text)');
    await client.query(
      `INSERT INTO documents
       SELECT n, n % 12,
              encode(sha512((n || 'a')::bytea), 'hex') || encode(sha512((n || 'b')::bytea), 'hex')
                || encode(sha512((n || 'c')::bytea), 'hex') || repeat('paragraph ' || 100 + n % 900 || ' ', 41)
       FROM generate_series(1, ${Math.max(1, Math.round(gibibytes * rowsOfGibibyte))}) n`,
    );
    await client.query('ALTER TABLE documents ADD PRIMARY KEY (document_id)');
    await client.query('COMMIT');
  });
}
