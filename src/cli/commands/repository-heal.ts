import type { Command } from '../command.ts';
import { readDatabaseIfGiven } from '../database.ts';
import { healText, isMended } from '../heal-text.ts';

/** `holdfast repository heal`. */
export const repositoryHeal: Command = {
  path: ['repository', 'heal'],
  summary: 'Mend what can be mended without a backup: the index, records, and WAL that the server still has.',
  details: [
    'What is damaged in one place of the repository and whole in another is taken from there.',
    'An index that is lost or damaged is made anew from the packs; a committed record that is gone, from its pending copy.',
    'With a connection to the server, damaged WAL is fetched from it again, once it is proved to be the same.',
    'Only what holdfast verify has recorded is looked at. Contents of files are healed by the next holdfast backup.',
  ],
  examples: [
    {
      line: 'holdfast repository heal',
      does: 'Mend what holdfast verify has found, as far as it goes without a backup.',
    },
  ],
  access: 'write',
  database: 'wanted',
  run: async (context) => {
    const source = await readDatabaseIfGiven(context);
    const { healRepository } = await import('../../prove/index.ts');
    const result = await healRepository({
      repository: context.repository,
      ...(source === null ? {} : { source }),
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
    });
    return {
      reason: isMended(result) ? 'done' : 'problemFound',
      json: {
        index: {
          ...{ packs: result.index.packs, chunks: result.index.chunks, objects: result.index.objects },
          unreadable: result.index.unreadable.map(({ name, reason }) => ({ object: name, sentence: reason })),
        },
        fromPlaces: result.fromPlaces.map(({ name, from, healed, away }) => ({
          object: name,
          from,
          places: healed.map((each) => ({ ...each })),
          away: [...away],
        })),
        snapshots: result.snapshots,
        copies: result.copies,
        wal: result.wal.map((each) => ({ ...each })),
      },
      text: (paint) => healText(result, paint),
    };
  },
};
