import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { measureCommand, measureWork, runCommand } from '../measure.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import { benchCluster, Holdfast, Pgbackrest } from '../tools/index.ts';
import { writeWal } from '../workload.ts';

/** At scale 1. */
const walBytes = 4e9;
const segmentBytes = 16 << 20;
const drainWaitMsMax = 600_000;

/** Each round writes WAL of its own, which both then take as fast as they can. */
export const wal: BenchRow = {
  name: 'wal',
  title: 'WAL that waits on the server, made durable in the repository: hashed, compressed, sealed',
  comparisons: [{ ours: 'holdfast', against: 'pgbackrest', aims: { wall: 0.75, cpu: 0.85 } }],
  async run(context) {
    const { peers, server, scale, rounds } = context;
    const pgbackrest = new Pgbackrest(peers, server, await context.directory('pgbackrest'));
    const holdfast = new Holdfast(server, await context.directory('holdfast'));
    for (const tool of [pgbackrest, holdfast]) await tool.prepare();
    const ours = holdfast.entrant('holdfast', 'wal stream, from a slot over the Unix socket');
    const theirs = { ...pgbackrest.entrant, setup: 'archive-push with archive-async, as pgbackrest above' };
    const stream = (until: string) => holdfast.command('wal', 'stream', '--cluster', benchCluster, '--until', until);
    const gate = await ArchiverGate.make(context, pgbackrest.archiveCommand());
    await server.restart({ archive_mode: 'on', archive_command: gate.command });
    const made = await writeWal(server, scale, 1);
    await runCommand(stream(made.to));
    let segments = 0;
    for (let round = 1; round <= rounds; round++) {
      const { from, to } = await writeWal(server, scale, (walBytes * scale) / rounds);
      segments += Number((parse(to) - parse(from)) / BigInt(segmentBytes));
      for (const which of inTurn(['pgbackrest', 'holdfast'] as const, round)) {
        if (which === 'holdfast') context.add(ours, round, await measureCommand(stream(to), server.pid));
        else {
          const drain = () => gate.openUntilArchived(to);
          context.add(theirs, round, await measureWork(server.pid, server.pid, drain));
        }
      }
    }
    context.note(`${(segments / rounds).toFixed(0)} segments of 16 MiB in each run.`);
    await server.restart({});
  },
};

/** Lets the server's archiver wait before it archives: once its command has failed, it would wait for a minute. */
class ArchiverGate {
  readonly #context: RowContext;
  readonly #openFile: string;
  readonly command: string;

  private constructor(context: RowContext, openFile: string, command: string) {
    this.#context = context;
    this.#openFile = openFile;
    this.command = command;
  }

  static async make(context: RowContext, archiveCommand: string): Promise<ArchiverGate> {
    const { inside, outside } = await context.directory('gate');
    const command = `while [ ! -e ${inside}/open ]; do sleep 0.02; done; ${archiveCommand}`;
    return new ArchiverGate(context, join(outside, 'open'), command);
  }

  /** Until the last segment before `to` is archived. */
  async openUntilArchived(to: string): Promise<void> {
    const client = await this.#context.server.connect();
    try {
      const { rows } = await client.query<{ name: string }>('SELECT pg_walfile_name($1::pg_lsn - 1) AS name', [to]);
      const last = rows[0]!.name;
      await writeFile(this.#openFile, '');
      const deadline = performance.now() + drainWaitMsMax;
      while (performance.now() < deadline) {
        const { rows } = await client.query<{ name: string }>('SELECT last_archived_wal AS name FROM pg_stat_archiver');
        if ((rows[0]?.name ?? '') >= last) return;
        await delay(10);
      }
      throw new Error(`pgbackrest did not archive "${last}" in time`);
    } finally {
      await rm(this.#openFile, { force: true });
      await client.end();
    }
  }
}

function parse(lsn: string): bigint {
  const [high, low] = lsn.split('/').map((part) => BigInt(`0x${part}`));
  return (high! << 32n) + low!;
}
