import { formatBytes } from '../lib/index.ts';
import { isChangedSetting, keptFrom, readConfiguration, redactSetting, type Setting } from '../protect/backup/index.ts';
import type { Repository, SnapshotRecord } from '../repository/index.ts';
import { formatGaps, gapDocument } from './configuration-text.ts';
import { formatTable, type Json, type Outcome, type Paint } from './output/index.ts';

/** The result of `holdfast show <snapshot> --settings`. Errors: those of `readConfiguration`. */
export async function showSettings(repository: Repository, record: SnapshotRecord): Promise<Outcome> {
  const { settings, gaps } = await readConfiguration(repository, record);
  const files = keptFrom(record)?.files ?? [];
  const changed = (settings ?? []).filter(isChangedSetting);
  const others = (settings ?? []).filter((setting) => !isChangedSetting(setting));
  return {
    json: {
      snapshot: record.id,
      settings: settings === null ? null : [...changed, ...others].map(settingDocument),
      files: files.map(({ path, kind, tree, bytes }) => ({ path, kind, storedAs: tree, bytes })),
      gaps: gaps.map(gapDocument),
    },
    text: (paint) => [
      paint.title(`Configuration at snapshot ${record.id}`),
      ...(settings === null ? [] : ['', paint.strong('Changed from what the server was built with')]),
      ...settingsText(changed, paint, true),
      ...(others.length === 0 ? [] : ['', paint.strong('As built, or set by the server itself')]),
      ...settingsText(others, paint, false),
      ...(files.length === 0 ? [] : ['', paint.strong('Files')]),
      ...files.map(({ path, tree, bytes }) => `${path}, ${formatBytes(bytes)}, stored as ${tree}`),
      ...(gaps.length === 0 ? [] : ['']),
      ...formatGaps(gaps, paint),
    ],
  };
}

function settingDocument(setting: Setting): Json {
  const { name, unit, source, sourceFile, sourceLine, pendingRestart } = setting;
  return {
    ...{ name, setting: redactSetting(name, setting.setting), unit, source, sourceFile, sourceLine },
    ...{ bootValue: redactSetting(name, setting.bootValue), pendingRestart, changed: isChangedSetting(setting) },
  };
}

function settingsText(settings: readonly Setting[], paint: Paint, withSource: boolean): string[] {
  if (settings.length === 0) return [];
  const source = ({ source: word, sourceFile, sourceLine, pendingRestart }: Setting) =>
    `${sourceFile === null ? word : `${sourceFile}:${sourceLine ?? '?'}`}${pendingRestart ? ', waits for a restart' : ''}`;
  return formatTable(
    [{ head: 'NAME' }, { head: 'VALUE' }, ...(withSource ? [{ head: 'FROM' }] : [])],
    settings.map((setting) => [
      paint.strong(setting.name),
      formatValue(redactSetting(setting.name, setting.setting), setting.unit),
      ...(withSource ? [source(setting)] : []),
    ]),
    paint,
  );
}

/** A value with its unit; `8kB` is a unit too, and a number in front of it would read as one. */
export function formatValue(value: string | null, unit: string | null): string {
  if (value === null) return '(not known)';
  if (value === '') return "''";
  if (unit === null || !/^-?[0-9.]+$/.test(value)) return value;
  return /^[0-9]/.test(unit) ? `${value} × ${unit}` : `${value} ${unit}`;
}
