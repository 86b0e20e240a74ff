import { posix } from 'node:path';
import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import {
  type ConnectionTarget,
  connect,
  identifySystem,
  type PostgresConnection,
  PostgresError,
  readControlFile,
  showSetting,
} from '../../../postgres/index.ts';
import type { CollectedConfiguration, ConfigurationFileKind, ConfigurationGap, Setting } from './configuration.ts';
import { type FileSource, filesOnDisk, filesOverSql } from './file-sources.ts';
import { type GatheredFiles, gatherFiles, type ReceivedConfiguration } from './gather-files.ts';
import { fileGrants, settingsGrant } from './grants.ts';
import { holdsAllSettings, readFileSettings, readSettings, readSystemId } from './read-settings.ts';

export type { ReceivedConfiguration } from './gather-files.ts';

/** Every cluster has this database unless somebody took pains to drop it. */
const COMMON_DATABASE = 'postgres';
const UNDEFINED_DATABASE = '3D000';
/** A server that does not answer within this time is not waited for: no backup shall hang on its configuration. */
const ANSWER_MS_MAX = 60_000;

/** The settings that say where the files lie, with what each file is read as. */
const FILE_SETTINGS: Readonly<Record<string, ConfigurationFileKind>> = {
  config_file: 'settings',
  hba_file: 'hba',
  ident_file: 'ident',
};
const DEFAULT_NAMES: Readonly<Record<string, string>> = {
  config_file: 'postgresql.conf',
  hba_file: 'pg_hba.conf',
  ident_file: 'pg_ident.conf',
};
const AUTO_FILE = 'postgresql.auto.conf';

/** How the server is asked. */
export interface CollectOptions {
  readonly source: ConnectionTarget;
  /** Over which the backup came, when there is one: a role that may only replicate is told a little there. */
  readonly replication: PostgresConnection | null;
  /** What the backup brought of the data directory, when there is one. */
  readonly received: ReceivedConfiguration | null;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Finds the server's settings and the files that they come from: over SQL as far as the role may, and from the disk when the server is on this machine.
 *
 * What cannot be had is a gap, with the statements that mend it, and never an error: a backup without it is still a backup.
 */
export async function collectConfiguration(options: CollectOptions): Promise<CollectedConfiguration> {
  const gaps: ConfigurationGap[] = [];
  const sql = await openSql(options, gaps);
  const patience = new AbortController();
  void options.clock.sleep(ANSWER_MS_MAX, patience.signal).then(() => {
    if (!patience.signal.aborted) sql?.destroy(silent());
  });
  try {
    return await collect(options, sql, gaps);
  } catch (error) {
    // The server's own trouble, such as a link that broke, is told; a fault of ours is not taken for one.
    if (!(error instanceof HoldfastError)) throw error;
    const reason = `The server could not be asked to the end: ${error.message}.`;
    return { settings: null, fileSettings: null, files: [], gaps: [...gaps, { what: 'settings', reason, mend: [] }] };
  } finally {
    patience.abort();
    await sql?.close();
  }
}

async function openSql(options: CollectOptions, gaps: ConfigurationGap[]): Promise<PostgresConnection | null> {
  const { source, clock, signal } = options;
  const common = { applicationName: 'holdfast_backup_settings', clock, ...(signal === undefined ? {} : { signal }) };
  try {
    return await connect(source, common).catch((error: unknown) => {
      if (!(error instanceof PostgresError) || error.sqlState !== UNDEFINED_DATABASE) throw error;
      return connect(source, { ...common, database: COMMON_DATABASE });
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof HoldfastError)) throw error;
    const reason = `The role "${source.user}" could not log in for SQL: ${error.message}. A line of pg_hba.conf that lets it into a database mends that.`;
    gaps.push({ what: 'settings', reason, mend: [] });
    return null;
  }
}

async function collect(
  options: CollectOptions,
  sql: PostgresConnection | null,
  gaps: ConfigurationGap[],
): Promise<CollectedConfiguration> {
  const settings = sql === null ? null : await readSettings(sql);
  const fileSettings = sql === null ? null : await readFileSettings(sql);
  if (sql !== null && !(await holdsAllSettings(sql))) {
    const reason = `Settings that only superusers see are not among them, as the role "${sql.target.user}" is no member of pg_monitor.`;
    gaps.push({ what: 'settings', reason, mend: [settingsGrant(sql.target.user)] });
  }
  const places = await findPlaces(options, settings);
  const dataDirectory = places.get('data_directory') ?? null;
  const seeds = seedsOf(options, settings, places, gaps);
  const sources = [
    ...(sql === null ? [] : [filesOverSql(sql)]),
    ...(await diskIfSame(options, sql, dataDirectory, settings, places)),
  ];
  const { files, failures } = await gatherFiles({ dataDirectory, seeds, received: options.received, sources });
  gaps.push(...gapsOf(failures, options, sql));
  return { settings, fileSettings, files, gaps };
}

/** Where the files lie, as far as the server says it. */
async function findPlaces(
  { replication }: CollectOptions,
  settings: readonly Setting[] | null,
): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  for (const name of ['data_directory', ...Object.keys(FILE_SETTINGS)]) {
    const row = settings?.find((setting) => setting.name === name);
    const place = row?.setting ?? (settings === null && replication !== null ? await ask(replication, name) : null);
    if (place !== null && place !== undefined) places.set(name, posix.normalize(place).replace(/(?<=.)\/$/, ''));
  }
  return places;
}

/** The server shows these to members of pg_read_all_settings only. */
async function ask(replication: PostgresConnection, name: string): Promise<string | null> {
  try {
    return await showSetting(replication, name);
  } catch (error) {
    if (error instanceof PostgresError) return null;
    throw error;
  }
}

function seedsOf(
  { received }: CollectOptions,
  settings: readonly Setting[] | null,
  places: ReadonlyMap<string, string>,
  gaps: ConfigurationGap[],
): { path: string; kind: ConfigurationFileKind }[] {
  const seeds: { path: string; kind: ConfigurationFileKind }[] = [];
  for (const [name, kind] of Object.entries(FILE_SETTINGS)) {
    const fileName = DEFAULT_NAMES[name]!;
    const path = places.get(name) ?? (received?.has(fileName) === true ? fileName : null);
    if (path !== null) seeds.push({ path, kind });
    else
      gaps.push({
        what: fileName,
        reason: 'The server does not say where it lies, and it is not in the data directory.',
        mend: [],
      });
  }
  if (received?.has(AUTO_FILE) !== false) seeds.push({ path: inData(places, AUTO_FILE), kind: 'settings' });
  // A file that is named on the command line only, or by one that cannot be read.
  for (const { sourceFile } of settings ?? [])
    if (sourceFile !== null) seeds.push({ path: sourceFile, kind: 'settings' });
  return seeds;
}

function inData(places: ReadonlyMap<string, string>, name: string): string {
  const directory = places.get('data_directory');
  return directory === undefined ? name : `${directory}/${name}`;
}

/** The disk is asked only where it is the server's: a socket may lead into a container, whose paths mean other files here. */
async function diskIfSame(
  { source, replication }: CollectOptions,
  sql: PostgresConnection | null,
  dataDirectory: string | null,
  settings: readonly Setting[] | null,
  places: ReadonlyMap<string, string>,
): Promise<FileSource[]> {
  const target = (sql ?? replication)?.target ?? source;
  if (!target.isLocal || dataDirectory === null) return [];
  try {
    const systemId = sql === null ? (await identifySystem(replication!)).systemId : await readSystemId(sql);
    return (await readControlFile(dataDirectory)).systemId === systemId ? [filesOnDisk] : [];
  } catch (error) {
    const cause = codeOf((error as Error).cause);
    if (cause !== 'EACCES') return [];
  }
  return (await fitsSettings(places.get('config_file'), settings)) ? [filesOnDisk] : [];
}

/** Whether a line of the file on this disk names the setting that the server says it has from there. */
async function fitsSettings(path: string | undefined, settings: readonly Setting[] | null): Promise<boolean> {
  const rows = (settings ?? []).filter(({ sourceFile, sourceLine }) => sourceFile === path && sourceLine !== null);
  if (path === undefined || rows.length === 0) return false;
  try {
    const lines = (await filesOnDisk.read(path))?.content.toString('utf8').split('\n') ?? [];
    return rows.every(({ name, sourceLine }) => lines[sourceLine! - 1]?.toLowerCase().includes(name.toLowerCase()));
  } catch {
    // It cannot be read here, so it is of no use either.
    return false;
  }
}

function gapsOf(
  failures: GatheredFiles['failures'],
  { source, replication }: CollectOptions,
  sql: PostgresConnection | null,
): ConfigurationGap[] {
  const target = (sql ?? replication)?.target ?? source;
  const mend = fileGrants(target.user, target.database);
  return failures.map(({ path, reason }) => ({ what: path, reason, mend: sql === null ? [] : mend }));
}

function silent(): HoldfastError {
  return new HoldfastError('CONFIGURATION_LATE', 'could not hear from the server in time', {
    detail: `Its configuration was asked for; nothing came for ${ANSWER_MS_MAX / 1000} seconds.`,
    retryable: true,
  });
}
