import { formatCount, formatQuantity } from '../../lib/index.ts';
import type { HealResult } from '../../prove/index.ts';
import type { Command } from '../command.ts';
import { readDatabaseIfGiven } from '../database.ts';
import type { Paint } from '../output/index.ts';

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
    const isWhole = result.index.unreadable.length === 0 && result.wal.every(({ problem }) => problem === null);
    return {
      reason: isWhole ? 'done' : 'problemFound',
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

function healText({ fromPlaces, index, snapshots, copies, wal }: HealResult, paint: Paint): string[] {
  const healed = wal.filter(({ problem }) => problem === null);
  const lines = [
    ...fromPlaces.flatMap(({ name, from, healed: places }) =>
      places
        .filter(({ outcome }) => outcome !== 'kept')
        .map(({ place }) => `took ${name} from "${from}" to "${place}"`),
    ),
    ...(index.packs === 0
      ? []
      : [`named ${formatQuantity(index.packs, 'pack')} with ${formatCount(index.chunks)} chunks in the index again`]),
    ...snapshots.map((id) => `committed snapshot ${id.slice(0, 12)} again`),
    ...(copies.length === 0 ? [] : [`stored second copies of ${formatQuantity(copies.length, 'small object')}`]),
    ...healed.map(({ object }) => `stored again the WAL of ${object}`),
  ];
  return [
    ...(lines.length === 0
      ? ['There was nothing that could be mended.']
      : lines.map((line) => `${paint.good('✓')} ${line}`)),
    ...index.unreadable.map(({ name, reason }) => `${paint.bad('✗')} ${name}  ${reason}`),
    ...wal.flatMap(({ object, problem }) => (problem === null ? [] : [`${paint.bad('✗')} ${object}  ${problem}`])),
    ...(lines.length === 0
      ? []
      : [`${paint.accent('→')} Run holdfast verify --all: it says whether all is there again.`]),
  ];
}
