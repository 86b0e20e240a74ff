import { rm } from 'node:fs/promises';
import type { Command } from '../measure.ts';
import { measureCommand, runCommand } from '../measure.ts';
import { type BenchRow, type Entrant, inTurn, type RowContext } from '../row.ts';
import { ClientTools, Holdfast, Pgbackrest } from '../tools/index.ts';
import { checkpoint } from '../workload.ts';

/** A backup of everything into a repository that was made for it. */
interface Contender {
  readonly entrant: Entrant;
  readonly backup: Command;
  readonly storedBytes: () => Promise<number | undefined>;
}

/** Full backups over the protocol, into fresh repositories. */
export const fullStream: BenchRow = {
  name: 'full-stream',
  title: 'full backup over the replication protocol, zstd 1',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.8, cpu: 0.9 } }],
  run: (context) =>
    measureFulls(context, async (round) => [
      discarding(context),
      await pgbackrest(context, round, 1),
      await holdfast(context, round, { direct: false }),
    ]),
};

/** The same from the data directory. */
export const fullDirect: BenchRow = {
  name: 'full-direct',
  title: 'full backup from the data directory, zstd 1',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.65, cpu: 0.75 } }],
  run: (context) =>
    measureFulls(context, async (round) => [
      await pgbackrest(context, round, 1),
      await holdfast(context, round, { direct: true }),
    ]),
};

/** The same at zstd's own level. */
export const fullLevel3: BenchRow = {
  name: 'full-level-3',
  title: 'full backup from the data directory, zstd 3',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.85, cpu: 0.9 } }],
  run: (context) =>
    measureFulls(context, async (round) => [
      await pgbackrest(context, round, 3),
      await holdfast(context, round, { direct: true, level: 3 }),
    ]),
};

/** Everything read again, and nothing of it new. */
export const fullUnchanged: BenchRow = {
  name: 'full-unchanged',
  title: 'full backup of a cluster in which nothing changed, everything read again, from the data directory',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.25 } }],
  run: (context) =>
    measureFulls(context, async (round) => {
      const contenders = [await pgbackrest(context, round, 1), await holdfast(context, round, { direct: true })];
      for (const { backup } of contenders) await runCommand(backup);
      return contenders;
    }),
};

async function measureFulls(
  context: RowContext,
  make: (round: number) => Promise<readonly Contender[]>,
): Promise<void> {
  const { server, rounds } = context;
  for (let round = 1; round <= rounds; round++) {
    for (const { entrant, backup, storedBytes } of inTurn(await make(round), round)) {
      await checkpoint(server);
      const measurement = await measureCommand(backup, server.pid);
      context.add(entrant, round, measurement, await storedBytes());
    }
    await rm((await context.directory('.')).outside, { recursive: true });
  }
}

async function pgbackrest(context: RowContext, round: number, level: number): Promise<Contender> {
  const directory = await context.directory(`pgbackrest-${round}`);
  const tool = new Pgbackrest(context.peers, context.server, directory, level);
  await tool.prepare();
  return { entrant: tool.entrant, backup: tool.backup('full'), storedBytes: () => tool.storedBytes() };
}

async function holdfast(
  context: RowContext,
  round: number,
  manner: { direct: boolean; level?: number },
): Promise<Contender> {
  const tool = new Holdfast(context.server, await context.directory(`holdfast-${round}`));
  await tool.prepare();
  const way = manner.direct ? 'from the data directory' : 'BASE_BACKUP over the Unix socket';
  return {
    entrant: tool.entrant('holdfast', `${way}, with the WAL it needs, repository on the same disk`),
    backup: tool.backup({ type: 'full', ...manner }),
    storedBytes: () => tool.storedBytes(),
  };
}

function discarding({ peers, server }: RowContext): Contender {
  const setup = 'one tar to /dev/null over the Unix socket, not compressed, no WAL';
  const tool = new ClientTools(peers, server, 'pg_basebackup', setup);
  return { entrant: tool.entrant, backup: tool.discard(), storedBytes: async () => undefined };
}
