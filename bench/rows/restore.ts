import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measureCommand, runCommand } from '../measure.ts';
import { removeAndForget, requireRestored } from '../restored.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import { ClientTools, giveToPeerUser, Holdfast, measureTables, Pgbackrest } from '../tools/index.ts';
import { changeEverywhere, changeOnePlace, checkpoint } from '../workload.ts';

const setup = 'from the local disk into an empty directory, made durable, not started';

export const restoreFull: BenchRow = {
  name: 'restore-full',
  title: 'restore of a full backup',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.8, cpu: 0.8 } }],
  async run(context) {
    const { pgbackrest, holdfast, expected } = await makeFulls(context);
    for (let round = 1; round <= context.rounds; round++) {
      const into = join((await context.directory(`into-${round}`)).outside, 'data');
      for (const which of inTurn(['pgbackrest', 'holdfast'] as const, round)) {
        if (which === 'pgbackrest') {
          const measurement = await measureCommand(pgbackrest.restore(), context.server.pid);
          await requireRestored(pgbackrest.restored, expected);
          await empty(pgbackrest.restored);
          context.add(pgbackrest.entrant, round, measurement);
        } else {
          const measurement = await measureCommand(holdfast.restore(into), context.server.pid);
          await requireRestored(into, expected);
          await removeAndForget(into);
          context.add(holdfast.entrant('holdfast', setup), round, measurement);
        }
      }
    }
  },
};

/** One block in a hundred is overwritten in what was restored; then it is restored over. */
export const restoreDelta: BenchRow = {
  name: 'restore-delta',
  title: 'restore over a directory in which 1 % of the blocks were damaged',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.5 } }],
  async run(context) {
    const { pgbackrest, holdfast, expected } = await makeFulls(context);
    const into = join((await context.directory('into')).outside, 'data');
    await runCommand(pgbackrest.restore());
    await runCommand(holdfast.restore(into));
    for (let round = 1; round <= context.rounds; round++) {
      for (const which of inTurn(['pgbackrest', 'holdfast'] as const, round)) {
        const directory = which === 'pgbackrest' ? pgbackrest.restored : into;
        await damageBlocks(join(directory, 'base'), round);
        const command = which === 'pgbackrest' ? pgbackrest.restore('--delta') : holdfast.restore(into, '--delta');
        const measurement = await measureCommand(command, context.server.pid);
        await requireRestored(directory, expected);
        const entrant =
          which === 'pgbackrest' ? pgbackrest.entrant : holdfast.entrant('holdfast', 'restore --delta, made durable');
        context.add(entrant, round, measurement);
      }
    }
  },
};

const increments = 96;

/** A day of increments, a hundredth of the rows changed in it; then what each of them costs to restore. */
export const restoreIncrement: BenchRow = {
  name: 'restore-increment',
  title: `restore of the ${increments}th increment, beside our restore of a full backup of the same state`,
  comparisons: [{ ours: 'holdfast', against: 'holdfast, full', aims: { wall: 1.15 } }],
  async run(context) {
    const { peers, server } = context;
    const [chained, whole] = [
      new Holdfast(server, await context.directory('chained')),
      new Holdfast(server, await context.directory('whole')),
    ];
    for (const tool of [chained, whole]) await tool.prepare();
    await chained.bringWal();
    await runCommand(chained.backup({ type: 'full' }));
    const combining = new ClientTools(
      peers,
      server,
      'pg_combinebackup',
      `of a full and ${increments} increments, copied`,
    );
    const chain = [await context.directory('chain-0')];
    await runCommand(combining.basebackup(chain[0]!));
    for (let step = 1; step <= increments; step++) {
      if (step % 2 === 0) await changeOnePlace(server, context.scale, step, 0.01 / increments);
      else await changeEverywhere(server, step, 0.01 / increments);
      await chained.bringWal();
      await runCommand(chained.backup({ type: 'incremental' }));
      const next = await context.directory(`chain-${step}`);
      await runCommand(combining.basebackup(next, chain.at(-1)));
      chain.push(next);
    }
    await chained.requireIncrement();
    await runCommand(whole.backup({ type: 'full' }));
    const expected = await measureTables(join(server.workplace.outside, 'data'));
    const entrants = [
      { entrant: chained.entrant('holdfast', setup), tool: chained },
      { entrant: whole.entrant('holdfast, full', setup), tool: whole },
      { entrant: combining.entrant, tool: null },
    ];
    for (let round = 1; round <= context.rounds; round++) {
      for (const { entrant, tool } of inTurn(entrants, round)) {
        const into = await context.directory(`into-${round}`);
        await rm(into.outside, { recursive: true });
        const command = tool === null ? combining.combine(chain, into) : tool.restore(into.outside);
        const measurement = await measureCommand(command, server.pid);
        await requireRestored(into.outside, expected);
        await removeAndForget(into.outside);
        context.add(entrant, round, measurement);
      }
    }
  },
};

async function makeFulls(context: RowContext) {
  const { peers, server } = context;
  const pgbackrest = new Pgbackrest(peers, server, await context.directory('pgbackrest'));
  const holdfast = new Holdfast(server, await context.directory('holdfast'));
  for (const tool of [pgbackrest, holdfast]) await tool.prepare();
  await checkpoint(server);
  await runCommand(pgbackrest.backup('full'));
  await runCommand(holdfast.backup({ type: 'full' }));
  return { pgbackrest, holdfast, expected: await measureTables(join(server.workplace.outside, 'data')) };
}

const blockBytes = 8192;

async function damageBlocks(directory: string, round: number): Promise<void> {
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name);
    const file = statSync(path);
    if (!file.isFile() || file.size < 100 * blockBytes) continue;
    await using opened = await open(path, 'r+');
    for (let block = round; block * blockBytes < file.size; block += 100)
      await opened.write(randomBytes(blockBytes), 0, blockBytes, block * blockBytes);
  }
}

async function empty(directory: string): Promise<void> {
  await removeAndForget(directory);
  await mkdir(directory);
  await giveToPeerUser(directory);
}
