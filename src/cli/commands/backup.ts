import { formatBytes, formatDuration, formatQuantity, formatRate } from '../../lib/index.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command } from '../command.ts';
import { formatGaps, gapDocument } from '../configuration-text.ts';
import { copyStateDocument, describeCopyState } from '../copy-keeper.ts';
import { readDatabase } from '../database.ts';
import { lockDocument, lockedUntil } from '../lock-text.ts';
import { formatFacts, paintLock, shortId } from '../output/index.ts';

/** The server counts MAX_RATE in units of 1,024 bytes. */
const rateUnitBytes = 1_024;

/** `holdfast backup`. */
export const backup: Command = {
  path: ['backup'],
  summary: 'Take a full backup of the running server.',
  details: [
    'The server may be a primary or a standby; it keeps serving. What the repository holds already is not stored again; a backup that is stopped leaves nothing that is listed.',
    'Every object goes to the copies of the repository while the backup runs, and those that answer are waited for at its end; what a required copy lacks keeps the backup from being listed.',
  ],
  examples: [
    { line: 'holdfast backup', does: 'Begins at the next checkpoint of the server, which may take minutes.' },
    {
      line: 'holdfast backup --checkpoint fast --label before-upgrade',
      does: 'Begins at once, and is found again by its name.',
    },
    { line: 'holdfast backup --max-rate 50MB', does: 'Reads no more than that in a second.' },
  ],
  access: 'write',
  database: 'required',
  planOptions: ['backup.workers', 'backup.compressionLevel', 'backup.maxRate'],
  flags: [
    { flag: '--label <text>', help: 'A name for this backup, kept by the server in backup_label.' },
    {
      flag: '--checkpoint <kind>',
      help: 'Begin with a checkpoint at once (fast), or spread over minutes so that the server hardly feels it.',
      choices: ['fast', 'spread'],
    },
  ],
  run: async (context, input) => {
    const source = await readDatabase(context);
    await context.copies.check();
    const { runBackup } = await import('../../protect/backup/index.ts');
    const { workers, compressionLevel, maxRate } = context.plan.backup;
    const [label, checkpoint] = [input.optional('label'), input.optional('checkpoint')];
    const result = await runBackup({
      repository: context.repository,
      source,
      cluster: await chooseCluster(context, 'back up'),
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
      workers,
      ...(compressionLevel === null ? {} : { level: compressionLevel }),
      ...(maxRate === null ? {} : { maxRate: Math.ceil(maxRate / rateUnitBytes) }),
      ...(label === undefined ? {} : { label }),
      ...(checkpoint === 'fast' || checkpoint === 'spread' ? { checkpoint } : {}),
    });
    const copies = await context.copies.settle(context.signal);
    const now = context.clock.now();
    const {
      snapshot,
      fromStandby,
      configurationGaps,
      bytes,
      storedBytes,
      newChunks,
      seconds,
      checksumFailures,
      locks,
    } = result;
    return {
      reason: checksumFailures.length === 0 ? 'done' : 'problemFound',
      json: {
        snapshot: snapshot.id,
        cluster: snapshot.cluster,
        startedAt: snapshot.startedAt,
        completedAt: snapshot.completedAt,
        files: snapshot.tree.files,
        ...{ bytes, storedBytes, newChunks, seconds, fromStandby, checksumFailures },
        configurationGaps: configurationGaps.map(gapDocument),
        wal: snapshot.wal,
        ...lockDocument(locks),
        copies: copies.map((copy) => copyStateDocument(copy, now)),
      },
      text: (paint) => [
        `${paint.good('stored')} snapshot ${paint.strong(shortId(snapshot.id))} of ${snapshot.cluster}${fromStandby ? ', read from a standby' : ''}`,
        ...formatFacts(
          [
            ['read', `${formatBytes(bytes)} in ${formatQuantity(snapshot.tree.files, 'file')}`],
            ['added', `${formatBytes(storedBytes)} in ${formatQuantity(newChunks, 'new chunk')}`],
            ['took', `${formatDuration(seconds * 1000)} (${formatRate(bytes / Math.max(seconds, 0.001))})`],
            ...(locks.length === 0
              ? []
              : [['locked', paintLock(lockedUntil(locks), context.clock.now(), paint)] as const]),
            ...copies.map((copy) => ['copy', describeCopyState(copy, now, paint)] as const),
            ['WAL', `${snapshot.wal.start} to ${snapshot.wal.end} on timeline ${snapshot.wal.timeline}`],
          ],
          paint,
        ),
        ...checksumFailures.map((failure) => paint.bad(`The server found damaged pages: ${failure}`)),
        ...formatGaps(configurationGaps, paint),
      ],
    };
  },
};
