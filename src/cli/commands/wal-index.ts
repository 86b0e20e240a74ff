import { formatCount } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { shortId } from '../output/index.ts';

/** `holdfast wal index`. */
export const walIndex: Command = {
  path: ['wal', 'index'],
  summary: 'Make what is missing of the commit index, for WAL that was stored without one.',
  details: [
    'The index is made while WAL is stored, and is never needed: without it the WAL is read instead, which takes longer. WAL of every cluster is looked at.',
  ],
  examples: [{ line: 'holdfast wal index', does: 'What is missing of the commit index.' }],
  access: 'write',
  database: 'none',
  run: async ({ repository, progress, signal }) => {
    const { makeIndex, readWalInventory } = await import('../../protect/wal/index.ts');
    const { lineages } = await readWalInventory(repository);
    progress.begin('indexing WAL');
    const made: {
      lineage: string;
      segments: number;
      made: number;
      unreadable: { segment: string; reason: string }[];
    }[] = [];
    for (const lineage of lineages) {
      const outcome = await makeIndex({ repository, lineage, signal });
      signal.throwIfAborted();
      const unreadable = outcome.unreadable.map(({ segmentName, reason }) => ({ segment: segmentName, reason }));
      made.push({ lineage: lineage.lineage, segments: outcome.segments, made: outcome.made, unreadable });
    }
    const isSound = made.every(({ unreadable }) => unreadable.length === 0);
    return {
      reason: isSound ? 'done' : 'problemFound',
      json: { lineages: made },
      text: (paint) =>
        made.flatMap(({ lineage, segments, made: count, unreadable }) => [
          `${paint.good('✓')} lineage ${shortId(lineage)}: ${formatCount(count)} of ${formatCount(segments)} segments indexed now`,
          ...unreadable.map(({ segment, reason }) => paint.bad(`  cannot index "${segment}": ${reason}`)),
        ]),
    };
  },
};
