import { formatBytes, formatMoment, formatQuantity } from '../../lib/index.ts';
import type { Findings } from '../../protect/backup/index.ts';
import type { Command } from '../command.ts';
import { findingLines, whatDoubtMeans } from '../doubt-text.ts';
import { fromPlaceFlag } from '../from-place.ts';
import { formatFacts, type Json, paintLevel, paintLock } from '../output/index.ts';
import { describeReading } from '../reading-text.ts';

/** What was found in one range is told anew once the names of its relations are known. */
function latestOfEach(found: readonly Findings[]): Findings[] {
  return [
    ...new Map(found.map((findings) => [`${findings.from} ${findings.to} ${findings.count}`, findings])).values(),
  ];
}

/** `holdfast show`. */
export const show: Command = {
  path: ['show'],
  summary: 'Show one snapshot: what it holds, what was attested of it, and whether its WAL is there.',
  examples: [
    { line: 'holdfast show 495644fd18b9', does: 'One snapshot, by the beginning of its id.' },
    { line: 'holdfast show 495644fd18b9 --settings', does: 'The settings that the server had then.' },
  ],
  access: 'read',
  readsFromPlace: true,
  database: 'none',
  arguments: [{ name: 'snapshot', help: 'The id, or so many of its first digits that no other begins with them.' }],
  flags: [
    fromPlaceFlag,
    {
      flag: '--settings',
      help: "Show the server's configuration at that time instead: settings, those that were changed first, and where its files lay. Secrets are hidden.",
    },
  ],
  run: async ({ repository, clock }, input) => {
    if (input.isSet('settings')) {
      const { showSettings } = await import('../show-settings.ts');
      return showSettings(repository, await repository.findSnapshot(input.required('snapshot')));
    }
    const { formatLsn } = await import('../../postgres/index.ts');
    const { readWalInventory } = await import('../../protect/wal/index.ts');
    const words = await import('../../protect/backup/index.ts');
    const { checksumFailuresOf, readDoubts, readFindings, readingOf } = words;
    const { describeSnapshot, findHarmedSnapshots } = await import('../../watch/index.ts');
    const { snapshotDocument } = await import('../snapshot-document.ts');
    const record = await repository.findSnapshot(input.required('snapshot'));
    const inventory = await readWalInventory(repository, record.wal.system);
    const description = await describeSnapshot(repository, inventory, record, {
      harmed: await findHarmedSnapshots(repository),
      doubts: await readDoubts(repository),
    });
    const { level, isDamaged, isDoubtful, isMisdated, locks, attestations, refusedAttestations, reach } = description;
    const { tree, stored, wal, details } = record;
    const reading = readingOf(record);
    const doubts = latestOfEach(description.doubts.flatMap(({ facts }) => readFindings(facts) ?? []));
    return {
      reason: reach?.isComplete === true && !isDamaged && !isDoubtful ? 'done' : 'problemFound',
      json: {
        ...snapshotDocument(description),
        writer: record.writer,
        details: details as Json,
        attestations: attestations.map(({ level, at, facts }) => ({ level, at, facts: facts as Json })),
        doubts: description.doubts.map(({ snapshots, at, facts }) => ({
          ...{ at, snapshots, facts: facts as Json },
        })),
        refusedAttestations: refusedAttestations.map(({ name, reason }) => ({ object: name, reason })),
      },
      text: (paint) => [
        paint.title(`Snapshot ${record.id}`),
        ...formatFacts(
          [
            [
              'cluster',
              `${record.cluster} (system ${wal.system}, PostgreSQL ${String(details.serverVersion ?? 'unknown')})`,
            ],
            ['started', formatMoment(Date.parse(record.startedAt))],
            [
              'completed',
              `${formatMoment(Date.parse(record.completedAt))}${isMisdated ? paint.bad(', which is later than the store took it') : ''}`,
            ],
            ['holds', `${formatBytes(tree.bytes)} in ${formatQuantity(tree.files, 'file')}`],
            ...(reading === null ? [] : [['read', describeReading(reading)] as const]),
            [
              'added',
              `${formatBytes(stored.storedBytes)} for ${formatQuantity(stored.newChunks, 'new chunk')} of ${formatBytes(stored.newBytes)}`,
            ],
            ['level', paintLevel(level, paint, isDamaged, isDoubtful)],
            ...locks.map(
              ({ place, until }) => ['locked', `${paintLock(until, clock.now(), paint)} in ${place}`] as const,
            ),
            [
              'needs WAL',
              `${wal.start} to ${wal.end} on timeline ${wal.timeline}, lineage ${wal.lineage.slice(0, 12)}`,
            ],
            [
              'restorable',
              reach?.isComplete === true
                ? `from ${wal.end} to ${formatLsn(reach.to)}, on timeline ${reach.timeline}`
                : paint.bad('no: the WAL that it needs is not all there'),
            ],
          ],
          paint,
        ),
        ...(attestations.length === 0 ? [] : ['', paint.strong('Attested')]),
        ...formatFacts(
          [...attestations, ...description.doubts.map(({ at }) => ({ at, level: 'doubtful' }))].map(
            ({ level, at }) => [formatMoment(Date.parse(at)), level] as const,
          ),
          paint,
        ),
        ...doubts.flatMap((findings) => findingLines(findings, words, paint)),
        ...(isDoubtful ? [paint.bad(whatDoubtMeans)] : []),
        ...checksumFailuresOf(record).map((failure) => paint.bad(`The server found damaged pages: ${failure}`)),
        ...refusedAttestations.map(({ name, reason }) => paint.bad(`Not believed: "${name}". ${reason}`)),
      ],
    };
  },
};
