import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { formatLsn, startInstance } from '../../src/postgres/index.ts';
import { openRepository, openStore, type Repository } from '../../src/repository/index.ts';
import { type RestoreResult, runRestore, type StartOptions } from '../../src/restore/index.ts';
import { preparePostgresBinaries } from '../../test/support/postgres-binaries.ts';
import { nobody } from '../../test/support/scratch.ts';
import { type Measurement, measureWork, runCommand } from '../measure.ts';
import { type BenchRow, inTurn, type RowContext } from '../row.ts';
import { benchCluster, Holdfast } from '../tools/index.ts';
import { writeWal } from '../workload.ts';

/** At scale 1. */
const walBytes = 2e9;

/** What the server itself says of its replay, without starting and the checkpoint at the end. */
const REDO_DONE = /redo done at \S+ system usage: .* elapsed: ([0-9.]+) s/;

/** The same restored directory, recovered by the same server, from our repository and from a directory with the segments. */
export const replay: BenchRow = {
  name: 'replay',
  title: 'replay of 2 GB of WAL (at scale 1) by a restored server, as its log has it',
  comparisons: [{ ours: 'holdfast', against: 'cp', aims: { wall: 1.05 } }],
  async run(context) {
    const { server, scale, rounds } = context;
    const tool = new Holdfast(server, await context.directory('holdfast'));
    await tool.prepare();
    await runCommand(
      tool.command('wal', 'stream', '--cluster', benchCluster, '--until', (await writeWal(server, scale, 1)).to),
    );
    await runCommand(tool.backup({ type: 'full' }));
    const { to } = await writeWal(server, scale, walBytes * scale);
    const archive = (await context.directory('archive')).outside;
    await runCommand(tool.command('wal', 'stream', '--cluster', benchCluster, '--until', to));
    // Afterwards, so that the segment in which the stream was ended is there, too.
    await keepSegments(join(server.workplace.outside, 'data', 'pg_wal'), archive);
    const repository = await openRepository({
      store: openStore(tool.repository, {}),
      credential: { kind: 'key-file', path: tool.keyFile },
      access: 'write',
      clock: systemClock,
      stateDirectory: tool.stateDirectory,
    });
    const { binDirectory } = await preparePostgresBinaries(18);
    for (let round = 1; round <= rounds; round++) {
      for (const which of inTurn(['cp', 'holdfast'] as const, round)) {
        const into = (await context.directory(`${which}-${round}`)).outside;
        const restore = { context, tool, repository, into, binDirectory };
        const measurement = which === 'holdfast' ? await replayOurs(restore) : await replayByCopy(restore, archive);
        const setup = which === 'holdfast' ? 'segments fetched ahead' : `restore_command = cp from the same disk`;
        context.add({ name: which, version: which === 'holdfast' ? tool.version : '', setup }, round, measurement);
        await rm(into, { recursive: true });
      }
    }
  },
};

interface Restore {
  context: RowContext;
  tool: Holdfast;
  repository: Repository;
  into: string;
  binDirectory: string;
}

async function replayOurs(restore: Restore): Promise<Measurement> {
  let elapsed = 0;
  const measurement = await measuring(restore, async () => {
    const { instance } = await restoreTo(restore, { binDirectory: restore.binDirectory });
    elapsed = await readElapsed(instance!.instance.logPath);
    await instance!.stop();
  });
  return { ...measurement, wallSeconds: elapsed };
}

async function replayByCopy(restore: Restore, archive: string): Promise<Measurement> {
  let elapsed = 0;
  const measurement = await measuring(restore, async () => {
    const { proposal } = await restoreTo(restore, null);
    const { recordLsn, inclusive, timeline } = proposal.target;
    const runDirectory = await mkdtemp(join(tmpdir(), 'holdfast-bench-'));
    const instance = await startInstance({
      dataDirectory: restore.into,
      ...{ binDirectory: restore.binDirectory, runDirectory, runAs: nobody, required: proposal.survey.settings },
      settings: {
        recovery_target_lsn: formatLsn(recordLsn),
        recovery_target_inclusive: inclusive ? 'on' : 'off',
        recovery_target_timeline: String(timeline),
        recovery_target_action: 'promote',
        restore_command: `cp ${archive}/%f %p`,
      },
      clock: systemClock,
    });
    await instance.waitForEndOfRecovery();
    elapsed = await readElapsed(instance.logPath);
    await instance.stop('fast');
    await rm(runDirectory, { recursive: true });
  });
  return { ...measurement, wallSeconds: elapsed };
}

/** Processor time is that of the restore and the replay together, and not compared. */
function measuring({ context }: Restore, work: () => Promise<void>): Promise<Measurement> {
  return measureWork(process.pid, context.server.pid, work);
}

async function restoreTo({ tool, repository, into }: Restore, start: StartOptions | null): Promise<RestoreResult> {
  await rm(into, { recursive: true });
  return await runRestore({
    ...{ repository, into, cluster: benchCluster, stateDirectory: tool.stateDirectory, clock: systemClock },
    target: { kind: 'latest' },
    progress: silentProgress,
    owner: nobody,
    ...(start === null ? {} : { start }),
  });
}

async function readElapsed(logPath: string): Promise<number> {
  const elapsed = REDO_DONE.exec(await readFile(logPath, 'utf8'))?.[1];
  if (elapsed === undefined) throw new Error('the server did not say how long its replay took');
  return Number(elapsed);
}

async function keepSegments(from: string, into: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (/^[0-9A-F]{24}$/.test(name)) await copyFile(join(from, name), join(into, name));
  }
}
