import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { measureCommand, runCommand } from '../measure.ts';
import { OpenRepository } from '../open-repository.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import { Holdfast, Pgbackrest } from '../tools/index.ts';
import { changeEverywhere, changeOnePlace, changePages, checkpoint } from '../workload.ts';

const run = promisify(execFile);

const setup =
  'UPLOAD_MANIFEST and BASE_BACKUP (INCREMENTAL) over the Unix socket, with its own WAL; the WAL before was stored, and is held against it';

export const incrementOnePlace: BenchRow = {
  name: 'increment-one-place',
  title: 'increment after 1 % of the rows changed in one place, and one row on 1 % of the pages',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.2, cpu: 0.2, stored: 0.3 } }],
  run: (context) => measureIncrements(context, () => changeSome(context)),
};

export const incrementEverywhere: BenchRow = {
  name: 'increment-everywhere',
  title: 'increment after the same, and another 1 % of the rows all over the table',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.55, cpu: 0.7, stored: 0.65 } }],
  run: (context) =>
    measureIncrements(context, async () => {
      await changeSome(context);
      await changeEverywhere(context.server, 1);
    }),
};

/** Ours in a program that has the repository open, as an agent has. */
export const incrementNothing: BenchRow = {
  name: 'increment-nothing',
  title: 'increment when nothing changed; ours in a process that has the repository open',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.25, cpu: 2 } }],
  async run(context) {
    const { server, rounds } = context;
    const { pgbackrest, holdfast } = await makeBases(context);
    await using open = await OpenRepository.start(holdfast, server);
    // Once before it counts: code that is loaded, and the first increment's own base.
    await holdfast.bringWal();
    await open.backup();
    await runCommand(pgbackrest.backup('incr'));
    for (let round = 1; round <= rounds; round++) {
      for (const which of inTurn(['pgbackrest', 'holdfast'] as const, round)) {
        await checkpoint(server);
        if (which === 'pgbackrest') {
          context.add(pgbackrest.entrant, round, await measureCommand(pgbackrest.backup('incr'), server.pid));
        } else {
          await holdfast.bringWal();
          context.add(holdfast.entrant('holdfast', `${setup}, repository open`), round, await open.measureBackup());
        }
      }
    }
  },
};

async function changeSome({ server, scale }: RowContext): Promise<void> {
  await changeOnePlace(server, scale, 1);
  await changePages(server, 1);
}

/** The change is made once. Before each round the repositories are what they were after the full backup, but for WAL, so that all rounds are alike. */
async function measureIncrements(context: RowContext, change: () => Promise<void>): Promise<void> {
  const { server, rounds } = context;
  const tools = await makeBases(context);
  const directories = {
    pgbackrest: await context.directory('pgbackrest'),
    holdfast: await context.directory('holdfast'),
  };
  for (const { outside } of Object.values(directories)) await copyDirectory(outside, `${outside}-base`);
  await change();
  for (let round = 1; round <= rounds; round++) {
    for (const which of inTurn(['pgbackrest', 'holdfast'] as const, round)) {
      const { outside } = directories[which];
      await copyDirectory(`${outside}-base`, outside);
      await checkpoint(server);
      const tool = tools[which];
      if (which === 'holdfast') {
        await tools.holdfast.bringWal();
        // The server does not give it a second time.
        await copyDirectory(outside, `${outside}-base`);
      }
      const before = await tool.storedBytes();
      const command =
        which === 'pgbackrest' ? tools.pgbackrest.backup('incr') : tools.holdfast.backup({ type: 'incremental' });
      const measurement = await measureCommand(command, server.pid);
      if (which === 'holdfast') await tools.holdfast.requireIncrement();
      const entrant = which === 'pgbackrest' ? tools.pgbackrest.entrant : tools.holdfast.entrant('holdfast', setup);
      context.add(entrant, round, measurement, (await tool.storedBytes()) - before);
    }
  }
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await run('cp', ['-a', from, to]);
}

async function makeBases(context: RowContext): Promise<{ pgbackrest: Pgbackrest; holdfast: Holdfast }> {
  const { peers, server } = context;
  const pgbackrest = new Pgbackrest(peers, server, await context.directory('pgbackrest'));
  const holdfast = new Holdfast(server, await context.directory('holdfast'));
  for (const tool of [pgbackrest, holdfast]) await tool.prepare();
  await runCommand(pgbackrest.backup('full'));
  await holdfast.bringWal();
  await runCommand(holdfast.backup({ type: 'full' }));
  return { pgbackrest, holdfast };
}
