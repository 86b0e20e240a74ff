import { runCommand } from '../measure.ts';
import type { BenchRow } from '../row.ts';
import { Holdfast, Pgbackrest } from '../tools/index.ts';
import { changeEverywhere, changeOnePlace } from '../workload.ts';

const days = 3;
const incrementsOfADay = 8;

/** What is kept after some days. Time is what all of it took, summed up: it is not what this row is about. */
export const threeDays: BenchRow = {
  name: 'three-days',
  title: `${days} days of a daily full backup and ${incrementsOfADay} increments, 1 % of the rows changed in a day`,
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { stored: 0.3 } }],
  async run(context) {
    const { peers, server, scale } = context;
    const pgbackrest = new Pgbackrest(peers, server, await context.directory('pgbackrest'));
    const holdfast = new Holdfast(server, await context.directory('holdfast'));
    for (const tool of [pgbackrest, holdfast]) await tool.prepare();
    const part = 0.01 / incrementsOfADay;
    for (let step = 0; step < days * (incrementsOfADay + 1); step++) {
      const isFull = step % (incrementsOfADay + 1) === 0;
      if (!isFull) {
        // Half of it here, half of it everywhere.
        await changeOnePlace(server, scale, step, part / 2);
        await changeEverywhere(server, step, part / 2);
      }
      await runCommand(pgbackrest.backup(isFull ? 'full' : 'incr'));
      await holdfast.bringWal();
      await runCommand(holdfast.backup({ type: isFull ? 'full' : 'incremental' }));
      if (!isFull) await holdfast.requireIncrement();
    }
    const nothing = { wallSeconds: 0, machineCpuSeconds: 0, otherCpuSeconds: 0, peakMemoryBytes: 0 };
    context.add(pgbackrest.entrant, 1, nothing, await pgbackrest.storedBytes());
    const ours = holdfast.entrant('holdfast', 'over the Unix socket; WAL is not counted');
    context.add(ours, 1, nothing, await holdfast.storedBytesOfBackups());
  },
};
