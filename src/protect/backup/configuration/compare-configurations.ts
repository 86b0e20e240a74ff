import type { CollectedConfiguration, ConfigurationFile, ConfigurationGap, Setting } from './configuration.ts';
import { diffLines } from './line-diff.ts';
import { redactLine, redactSetting } from './redact.ts';

/** A setting that differs; secrets in the values are hidden. Null where that side does not have the setting. */
export interface SettingDifference {
  readonly name: string;
  readonly unit: string | null;
  readonly from: string | null;
  readonly to: string | null;
}

/** A file that differs, with the lines that do; secrets in them are hidden. */
export interface FileDifference {
  readonly path: string;
  readonly kind: 'added' | 'removed' | 'changed';
  readonly lines: readonly string[];
}

/** What differs between two configurations, and what could not be compared. */
export interface ConfigurationDifference {
  /** Null when one side has no settings. */
  readonly settings: readonly SettingDifference[] | null;
  readonly files: readonly FileDifference[];
  readonly gaps: readonly ConfigurationGap[];
}

/** They belong to the session that asked, or say how the server is, not how it is set. */
const STATES: ReadonlySet<string> = new Set([
  ...['in_hot_standby', 'transaction_deferrable', 'transaction_isolation', 'transaction_read_only'],
]);
const SESSION_SOURCES: ReadonlySet<string> = new Set(['client', 'session', 'user', 'database', 'database user']);

/** Compares two configurations. Pure. */
export function compareConfigurations(
  before: CollectedConfiguration,
  after: CollectedConfiguration,
): ConfigurationDifference {
  return {
    settings:
      before.settings === null || after.settings === null ? null : compareSettings(before.settings, after.settings),
    files: compareFiles(before, after),
    gaps: [...before.gaps, ...after.gaps],
  };
}

function compareSettings(before: readonly Setting[], after: readonly Setting[]): SettingDifference[] {
  const [old, present] = [before, after].map((settings) => new Map(settings.map((each) => [each.name, each]))) as [
    Map<string, Setting>,
    Map<string, Setting>,
  ];
  const differences: SettingDifference[] = [];
  for (const name of [...new Set([...old.keys(), ...present.keys()])].sort()) {
    const [a, b] = [old.get(name), present.get(name)];
    if (STATES.has(name) || [a, b].some((each) => each !== undefined && SESSION_SOURCES.has(each.source))) continue;
    if (a !== undefined && b !== undefined && a.setting === b.setting) continue;
    const unit = b?.unit ?? a?.unit ?? null;
    differences.push({
      ...{ name, unit },
      from: redactSetting(name, a?.setting ?? null),
      to: redactSetting(name, b?.setting ?? null),
    });
  }
  return differences;
}

/** A file that one side could not read is no difference: that stands among the gaps. */
function compareFiles(before: CollectedConfiguration, after: CollectedConfiguration): FileDifference[] {
  const find = (side: CollectedConfiguration, path: string) => side.files.find((file) => file.path === path);
  const isUnread = (side: CollectedConfiguration, path: string) => side.gaps.some(({ what }) => what === path);
  const paths = [...new Set([...before.files, ...after.files].map(({ path }) => path))].sort();
  const differences: FileDifference[] = [];
  for (const path of paths) {
    const [a, b] = [find(before, path), find(after, path)];
    if (isUnread(before, path) || isUnread(after, path)) continue;
    const lines = diffLines(textOf(a), textOf(b)).map((line) => line.slice(0, 1) + redactLine(line.slice(1)));
    const kind = a === undefined ? 'added' : b === undefined ? 'removed' : 'changed';
    if (kind !== 'changed' || lines.length > 0) differences.push({ path, kind, lines });
  }
  return differences;
}

function textOf(file: ConfigurationFile | undefined): string {
  return file?.content.toString('utf8') ?? '';
}
