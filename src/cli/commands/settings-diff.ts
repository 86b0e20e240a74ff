import { HoldfastError } from '../../lib/index.ts';
import type { CollectedConfiguration, ConfigurationDifference } from '../../protect/backup/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { formatGaps, gapDocument } from '../configuration-text.ts';
import { readDatabaseIfGiven } from '../database.ts';
import type { Paint } from '../output/index.ts';

/** The word for the server as it runs, in place of a snapshot. */
const NOW = 'now';

/** `holdfast settings diff`. */
export const settingsDiff: Command = {
  path: ['settings', 'diff'],
  summary: "Compare the server's configuration between two snapshots, or between one and now.",
  details: [
    'Settings are compared by value and files by their lines; secrets are hidden. Without --exit-code it ends with 0 also when there are differences.',
  ],
  examples: [{ line: 'holdfast settings diff 495644fd18b9 now', does: 'What was changed on the server since then.' }],
  access: 'read',
  database: 'wanted',
  arguments: [
    { name: 'before', help: 'A snapshot, by the first digits of its id.' },
    { name: 'after', help: `Another one, or "${NOW}" for the server as it runs.` },
  ],
  flags: [{ flag: '--exit-code', help: 'End with 3 when there are differences.' }],
  run: async (context, input) => {
    const { compareConfigurations } = await import('../../protect/backup/index.ts');
    const [before, after] = [input.required('before'), input.required('after')];
    const [a, b] = [await readSide(context, before), await readSide(context, after)];
    const difference = compareConfigurations(a.configuration, b.configuration);
    const { settings, files, gaps } = difference;
    const isSame = (settings ?? []).length === 0 && files.length === 0;
    return {
      reason: input.isSet('exit-code') && !isSame ? 'problemFound' : 'done',
      json: {
        ...{ before: a.name, after: b.name, same: isSame },
        settings: settings === null ? null : settings.map((each) => ({ ...each })),
        files: files.map(({ path, kind, lines }) => ({ path, kind, lines: [...lines] })),
        gaps: gaps.map(gapDocument),
      },
      text: (paint) => [...differenceText(difference, isSame, paint), ...formatGaps(gaps, paint, 'Not compared')],
    };
  },
};

async function readSide(
  context: CommandContext,
  name: string,
): Promise<{ name: string; configuration: CollectedConfiguration }> {
  const { collectConfiguration, readConfiguration } = await import('../../protect/backup/index.ts');
  if (name !== NOW) {
    const record = await context.repository.findSnapshot(name);
    return { name: record.id, configuration: await readConfiguration(context.repository, record) };
  }
  const source = await readDatabaseIfGiven(context);
  if (source === null) throw serverUnnamed();
  const { clock, signal } = context;
  return {
    name,
    configuration: await collectConfiguration({ source, replication: null, received: null, clock, signal }),
  };
}

function differenceText({ settings, files }: ConfigurationDifference, isSame: boolean, paint: Paint): string[] {
  const value = (text: string | null, unit: string | null) =>
    text === null ? '(absent)' : text === '' ? "''" : `${text}${unit === null ? '' : ` (${unit})`}`;
  const sign = (line: string) =>
    line.startsWith('-') ? paint.bad(line) : line.startsWith('+') ? paint.good(line) : line;
  return [
    ...(settings === null ? ['The settings of one side are not kept, so they were not compared.'] : []),
    ...(isSame ? ['There is no difference in what was compared.'] : []),
    ...(settings ?? []).map(
      ({ name, unit, from, to }) => `${paint.strong(name)}: ${value(from, unit)} → ${value(to, unit)}`,
    ),
    ...files.flatMap(({ path, kind, lines }) => ['', paint.title(`${path} (${kind})`), ...lines.map(sign)]),
  ];
}

function serverUnnamed(): HoldfastError {
  return new HoldfastError('CONFIGURATION_SERVER_UNNAMED', `cannot compare with "${NOW}": no server is named`, {
    hints: ['Set DATABASE_URL or give --database.'],
  });
}
