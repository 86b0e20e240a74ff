import { constants, setPriority } from 'node:os';
import { formatBytes, formatDuration, formatQuantity, HoldfastError } from '../../lib/index.ts';
import { bringBackupsHome } from '../bring-home.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command } from '../command.ts';
import { formatGaps, gapDocument } from '../configuration-text.ts';
import { copyStateDocument, describeCopyState } from '../copy-keeper.ts';
import { readDatabase } from '../database.ts';
import { describeComparison, doubtDocument, formatDoubt } from '../doubt-text.ts';
import { lockDocument, lockedUntil } from '../lock-text.ts';
import { formatFacts, paintLock, shortId } from '../output/index.ts';
import { describeReading } from '../reading-text.ts';

/** The server counts MAX_RATE in units of 1,024 bytes. */
const rateUnitBytes = 1_024;

/** `holdfast backup`. */
export const backup: Command = {
  path: ['backup'],
  summary: 'Take a backup of the running server.',
  details: [
    'From PostgreSQL 17 on, with summarize_wal on and a WAL receiver that runs all the time, the server sends only what changed since the last backup; where that cannot be, or with --type full, all is read. Whichever way, the snapshot is whole and needs no other one.',
    'The server may be a primary or a standby; it keeps serving. What the repository holds already is not stored again; a backup that is stopped leaves nothing that is listed.',
    'Every object goes to the copies of the repository while the backup runs, and those that answer are waited for at its end; what a required copy lacks keeps the backup from being listed.',
    'While the primary is away the backup goes into a copy, under the same rules, and is brought to the primary by the next command that writes.',
  ],
  examples: [
    {
      line: 'holdfast backup',
      does: 'Begins with a checkpoint that the server spreads over minutes, and hardly feels.',
    },
    {
      line: 'holdfast backup --checkpoint fast --label before-upgrade',
      does: 'Begins at once, and is found again by its name.',
    },
    { line: 'holdfast backup --type full', does: 'Reads every page, also where the server could tell what changed.' },
    {
      line: 'holdfast backup --direct',
      does: 'Reads the files itself, on the host of the database: the fastest full.',
    },
    {
      line: 'holdfast backup --low-priority --max-rate 50MB',
      does: 'Gives way to everything else, for a machine that is busy.',
    },
    { line: 'holdfast backup --max-rate 50MB', does: 'Reads no more than that in a second.' },
  ],
  access: 'write',
  writesToCopy: true,
  database: 'required',
  planOptions: ['backup.workers', 'backup.compressionLevel', 'backup.maxRate', 'backup.checkpoint'],
  flags: [
    {
      flag: '--type <kind>',
      help: 'Read what changed, where the server can tell (incremental, unless said otherwise), or everything (full).',
      choices: ['incremental', 'full'],
    },
    {
      flag: '--direct',
      help: 'Read everything from the disk of this machine, on which the server runs, instead of having the server send it.',
    },
    { flag: '--label <text>', help: 'A name for this backup, kept by the server in backup_label.' },
    {
      flag: '--tag <word>',
      help: 'A word by which rules of retention keep it; may be given several times.',
      repeatable: true,
    },
    {
      flag: '--low-priority',
      help: 'Give way to every other program of this machine, with half of the workers; beside it, --max-rate spares the disk.',
    },
  ],
  run: async (context, input) => {
    const [type, direct] = [input.optional('type'), input.isSet('direct')];
    if (direct && type === 'incremental') throw onlyFullsAreDirect();
    const source = await readDatabase(context);
    await context.copies.check();
    const { takenIn } = context;
    if (takenIn === null) await bringBackupsHome(context);
    else
      context.progress.note(`the primary is away: this backup goes into copy "${takenIn}", and to the primary later`);
    const { describeFinding, findingsFacts, runBackup } = await import('../../protect/backup/index.ts');
    const words = { describeFinding, findingsFacts };
    const { workers, compressionLevel, maxRate, checkpoint } = context.plan.backup;
    const lowPriority = input.isSet('low-priority');
    // This process does nothing else; threads that it starts from here on have its priority.
    if (lowPriority) setPriority(constants.priority.PRIORITY_LOW);
    const label = input.optional('label');
    const result = await runBackup({
      repository: context.repository,
      source,
      cluster: await chooseCluster(context, 'back up'),
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
      workers: lowPriority ? Math.ceil(workers / 2) : workers,
      lowPriority,
      ...(compressionLevel === null ? {} : { level: compressionLevel }),
      ...(maxRate === null ? {} : { maxRate: Math.ceil(maxRate / rateUnitBytes) }),
      ...(label === undefined ? {} : { label }),
      tags: input.all('tag'),
      direct,
      ...(takenIn === null ? {} : { takenIn }),
      ...(type === 'incremental' || type === 'full' ? { type } : {}),
      checkpoint,
    });
    const copies = await context.copies.settle(context.signal);
    const now = context.clock.now();
    const {
      snapshot,
      fromStandby,
      configurationGaps,
      bytes,
      readBytes,
      reading,
      doubt,
      compared,
      storedBytes,
      newChunks,
      seconds,
      checksumFailures,
      locks,
    } = result;
    return {
      reason: checksumFailures.length === 0 && doubt === null ? 'done' : 'problemFound',
      json: {
        snapshot: snapshot.id,
        cluster: snapshot.cluster,
        startedAt: snapshot.startedAt,
        completedAt: snapshot.completedAt,
        files: snapshot.tree.files,
        ...{ bytes, readBytes, reading, storedBytes, newChunks, seconds, fromStandby, checksumFailures },
        ...{ compared, findings: doubtDocument(doubt, words) },
        configurationGaps: configurationGaps.map(gapDocument),
        wal: snapshot.wal,
        ...lockDocument(locks),
        takenIn,
        copies: copies.map((copy) => copyStateDocument(copy, now)),
      },
      text: (paint) => [
        `${paint.good('stored')} snapshot ${paint.strong(shortId(snapshot.id))} of ${snapshot.cluster}${fromStandby ? ', read from a standby' : ''}`,
        ...formatFacts(
          [
            ['holds', `${formatBytes(bytes)} in ${formatQuantity(snapshot.tree.files, 'file')}`],
            ['read', `${formatBytes(readBytes)}: ${describeReading(reading)}`],
            ['added', `${formatBytes(storedBytes)} in ${formatQuantity(newChunks, 'new chunk')}`],
            ...describeComparison(compared),
            ['took', formatDuration(seconds * 1000)],
            ...(locks.length === 0
              ? []
              : [['locked', paintLock(lockedUntil(locks), context.clock.now(), paint)] as const]),
            ...(takenIn === null
              ? []
              : [['kept', paint.warning(`in copy "${takenIn}", and in the primary when it answers again`)] as const]),
            ...copies.map((copy) => ['copy', describeCopyState(copy, now, paint)] as const),
            ['WAL', `${snapshot.wal.start} to ${snapshot.wal.end} on timeline ${snapshot.wal.timeline}`],
          ],
          paint,
        ),
        ...formatDoubt(doubt, snapshot.id, words, paint),
        ...checksumFailures.map((failure) => paint.bad(`The server found damaged pages: ${failure}`)),
        ...formatGaps(configurationGaps, paint),
      ],
    };
  },
};

function onlyFullsAreDirect(): HoldfastError {
  return new HoldfastError('USAGE_INVALID', 'cannot read an increment directly', {
    detail:
      'Which blocks changed is known to the server, and it tells only over the protocol: --direct reads everything.',
    hints: ['Leave out --direct, or --type incremental.'],
  });
}
