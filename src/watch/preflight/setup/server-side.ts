import { join } from 'node:path';
import type { Clock } from '../../../lib/index.ts';
import { HoldfastError } from '../../../lib/index.ts';
import { type ConnectionTarget, connect, type PostgresConnection } from '../../../postgres/index.ts';
import { gatherVolume } from '../../volume.ts';
import { quoteLiteral } from '../check.ts';
import { findDataDirectory } from '../data-directory.ts';
import { ask, askIfMay, askServer } from '../gather-server.ts';
import { ARCHIVING_OFF } from './propose-setup.ts';
import type { ExistingRole, SettingStep, SetupFacts, SetupWish } from './setup-facts.ts';

/** A reload reaches every process within moments. */
const RELOAD_WAIT_MS_MAX = 5_000;
/** A server that was restarted may have to recover first. */
const RESTART_WAIT_MS_MAX = 120_000;
const POLL_MS = 200;

/** Connects as the administrator. Errors: those of `connect`. */
export function connectAsAdministrator(target: ConnectionTarget, clock: Clock): Promise<PostgresConnection> {
  return connect(target, { clock, applicationName: 'holdfast_setup' });
}

/** What a proposal is made from. Errors: SETUP_NOT_PERMITTED, those of the server. */
export async function readSetupFacts(
  connection: PostgresConnection,
  wish: SetupWish,
  options: { readonly looksOnly: boolean; readonly fits: () => Promise<boolean | null>; readonly clock: Clock },
): Promise<SetupFacts> {
  const { looksOnly, fits, clock } = options;
  const server = await askServer(connection, clock);
  if (!server.role.isSuperuser && !looksOnly) throw notPermitted(server.role.name);
  const directory = await findDataDirectory(server);
  const volume = directory === null ? null : await gatherVolume(join(directory, 'pg_wal'));
  return {
    ...{ server, walDirectoryFreeBytes: volume?.freeBytes ?? null },
    role: wish.role === null ? null : await readRole(connection, wish.role.name, fits),
    written: await readWritten(connection),
  };
}

async function readRole(
  connection: PostgresConnection,
  name: string,
  fits: () => Promise<boolean | null>,
): Promise<ExistingRole | null> {
  const [row] = await ask(
    connection,
    `SELECT rolcanlogin, rolreplication OR rolsuper AS replicates, pg_has_role(oid, 'pg_monitor', 'USAGE') AS monitors
       FROM pg_roles WHERE rolname = ${quoteLiteral(name)}`,
  );
  if (row === undefined) return null;
  return {
    mayLogIn: row.rolcanlogin === 't',
    mayReplicate: row.replicates === 't',
    mayMonitor: row.monitors === 't',
    passwordFits: await fits(),
  };
}

/** The last line that states a parameter counts, in force or not. */
async function readWritten(connection: PostgresConnection): Promise<Map<string, string> | null> {
  const rows = await askIfMay(
    connection,
    'SELECT name, setting FROM pg_file_settings WHERE name IS NOT NULL ORDER BY seqno',
  );
  return rows === null ? null : new Map(rows.map(({ name, setting }) => [name ?? '', setting ?? '']));
}

/**
 * Lets the server read its files again and waits until each parameter is in force, or known to wait for a restart.
 *
 * Errors: SETUP_NOT_IN_FORCE, with what the server says instead and where that was read.
 */
export async function reloadAndCheck(
  connection: PostgresConnection,
  steps: readonly SettingStep[],
  includeFile: string | null,
  clock: Clock,
): Promise<void> {
  await connection.query('SELECT pg_reload_conf()');
  const until = clock.monotonic() + RELOAD_WAIT_MS_MAX;
  for (;;) {
    const missing = await findMissing(connection, steps);
    if (missing.length === 0) return;
    if (clock.monotonic() >= until) throw notInForce(missing, includeFile);
    await clock.sleep(POLL_MS);
  }
}

interface MissingSetting {
  readonly step: SettingStep;
  readonly value: string;
  readonly origin: string;
}

async function findMissing(connection: PostgresConnection, steps: readonly SettingStep[]): Promise<MissingSetting[]> {
  const rows = await ask(
    connection,
    `SELECT name, setting, pending_restart, coalesce(sourcefile || ':' || sourceline, source) AS origin FROM pg_settings`,
  );
  const written = await readWritten(connection);
  return steps.flatMap((step) => {
    const row = rows.find(({ name }) => name === step.name);
    if (row?.setting === step.value || (step.needsRestart && row?.pending_restart === 't')) return [];
    if (row?.setting === ARCHIVING_OFF && written?.get(step.name) === step.to) return [];
    return [{ step, value: row?.setting ?? '', origin: row?.origin ?? '' }];
  });
}

/** Those that are in force only after a restart. */
export async function findWaiting(connection: PostgresConnection, steps: readonly SettingStep[]): Promise<string[]> {
  const rows = await ask(connection, 'SELECT name FROM pg_settings WHERE pending_restart');
  const waiting = new Set(rows.map(({ name }) => name));
  return steps.map(({ name }) => name).filter((name) => waiting.has(name));
}

/** Connects again after a restart, as soon as the server lets us. Errors: those of the last attempt. */
export async function reconnect(
  target: ConnectionTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<PostgresConnection> {
  const until = clock.monotonic() + RESTART_WAIT_MS_MAX;
  for (;;) {
    try {
      return await connectAsAdministrator(target, clock);
    } catch (error) {
      if (!(error instanceof HoldfastError) || clock.monotonic() >= until || signal.aborted) throw error;
      await clock.sleep(POLL_MS, signal);
    }
  }
}

function notPermitted(name: string): HoldfastError {
  return new HoldfastError('SETUP_NOT_PERMITTED', `cannot set up the server as "${name}": it is no superuser`, {
    detail: 'Settings, roles and the position of the WAL are for superusers to change.',
    hints: [
      'Connect as a superuser with --as.',
      'Or run again with --print-sql, and give what it prints to somebody who may do it.',
    ],
  });
}

function notInForce(missing: readonly MissingSetting[], includeFile: string | null): HoldfastError {
  const told = missing.map(
    ({ step, value, origin }) => `${step.name} is "${value}" (from ${origin}) instead of "${step.to}".`,
  );
  return new HoldfastError('SETUP_NOT_IN_FORCE', 'could not put the settings in force', {
    detail: told.join(' '),
    hints: [
      ...(includeFile === null
        ? ['Something that counts more states them too, such as the command line that starts the server.']
        : [
            `Add the line "include_if_exists = '${includeFile}'" at the end of postgresql.conf, if it is not read from there yet.`,
            'ALTER SYSTEM counts more than any file: look for the same names in postgresql.auto.conf.',
          ]),
    ],
  });
}
