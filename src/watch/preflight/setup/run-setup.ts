import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { openLedger } from '../../../ledger/index.ts';
import { type Clock, HoldfastError, messageOf } from '../../../lib/index.ts';
import type { ConnectionTarget, PostgresConnection } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { advice, type Mend, quoteIdentifier, quoteLiteral, quoteWord, shell, sql } from '../check.ts';
import { tryReplication } from '../gather-server.ts';
import { hbaLine } from '../judge-rights.ts';
import { restartCommand } from '../judge-server.ts';
import { applyDirect, readDirectRights, statementsIn, undoOf } from './direct-rights.ts';
import { formatSetting, parseSettings, readBlock, replaceBlock } from './managed-block.ts';
import { ARCHIVING_OFF, proposeSetup } from './propose-setup.ts';
import { type Arrival, proveArrival } from './prove-arrival.ts';
import { readFileIfThere, replaceFile } from './replace-file.ts';
import { scramVerifier, writePassword } from './role-password.ts';
import { connectAsAdministrator, findWaiting, readSetupFacts, reconnect, reloadAndCheck } from './server-side.ts';
import type { SettingStep, SetupFacts, SetupProposal, SetupWish } from './setup-facts.ts';

const run = promisify(execFile);

/** Whoever restarts a server waits for its shutdown checkpoint. */
const RESTART_MS_MAX = 600_000;

/** Where the set-up works, and how. */
export interface SetupOptions {
  readonly wish: SetupWish;
  /** Whether the proposal is all that is wanted; then anybody may ask for it. */
  readonly looksOnly: boolean;
  /** A superuser's connection. */
  readonly administrator: ConnectionTarget;
  /** The connection that backups and receivers will use. */
  readonly source: ConnectionTarget;
  /** Where the role's password is written in the form of libpq's password file; `null` when it is nowhere to be written. */
  readonly passwordFile: string | null;
  /** A configuration file that has our lines; `null`: ALTER SYSTEM. */
  readonly includeFile: string | null;
  /** Whether pg_hba.conf may be written when the role is not let in. */
  readonly writesHba: boolean;
  /** Whether the role is to be given what `holdfast backup --direct` needs. */
  readonly readsDirectly: boolean;
  /** Restarts the server; `null`: somebody else does. */
  readonly restartCommand: string | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A proposal with what it was made from. */
export interface PreparedSetup {
  readonly proposal: SetupProposal;
  readonly facts: SetupFacts;
}

/** Where what was set up has to arrive. */
export interface SetupGoal {
  readonly repository: Repository;
  readonly cluster: string;
  readonly stateDirectory: string;
  /** How long a switched segment may take. */
  readonly waitMs: number;
}

/** One change that was made. */
interface DoneStep {
  /** Without a full stop. */
  readonly sentence: string;
  readonly undo: readonly Mend[];
}

/** What was done, and whether it was seen to work. */
export interface SetupResult {
  /** Sentences without a full stop, in the order in which they were done. */
  readonly done: readonly string[];
  /** What somebody else has to do first; empty when it was proven. */
  readonly waitsFor: readonly Mend[];
  /** Why it is not proven, one whole sentence; `null` when it is. */
  readonly whyNotProven: string | null;
  readonly arrival: Arrival | null;
  /** What takes it back, the last change first. */
  readonly undo: readonly Mend[];
}

/** Asks the server and proposes; changes nothing. Errors: SETUP_NOT_PERMITTED, SETUP_ON_STANDBY, SETUP_ARCHIVE_TAKEN, those of the server. */
export async function prepareSetup(options: SetupOptions): Promise<PreparedSetup> {
  const { wish, administrator, clock } = options;
  const connection = await connectAsAdministrator(administrator, clock);
  try {
    const fits = () => findOutWhetherPasswordFits(options);
    const facts = await readSetupFacts(connection, wish, { looksOnly: options.looksOnly, fits, clock });
    const direct = options.readsDirectly ? { direct: await readDirectRights(options, wish.role?.name ?? null) } : {};
    return { facts, proposal: proposeSetup({ ...facts, ...direct }, wish) };
  } finally {
    await connection.close();
  }
}

/** `null` where nothing was wanted, or where something else than the password keeps the role out. */
async function findOutWhetherPasswordFits({ wish, source, clock }: SetupOptions): Promise<boolean | null> {
  const password = wish.role?.password;
  if (wish.role == null || password == null) return null;
  const login = await tryReplication(source.with({ user: wish.role.name, password: password.text.reveal() }), clock);
  if (login.kind === 'done') return true;
  return login.kind === 'refused' && login.code === 'PG_AUTHENTICATION_FAILED' ? false : null;
}

/**
 * Carries a proposal out: role, settings, slot, and then the proof. Every step may be repeated; the ledger has what was done.
 *
 * Errors: SETUP_INCOMPLETE naming what was done by then; SETUP_PROPOSAL_OUTDATED before anything is.
 */
export async function executeSetup(
  prepared: PreparedSetup,
  options: SetupOptions,
  goal: SetupGoal,
): Promise<SetupResult> {
  const { proposal } = prepared;
  const done: DoneStep[] = [];
  const ledger = await openLedger(goal.repository, goal.stateDirectory);
  const entry = { action: 'database.setup', subject: proposal.system };
  try {
    const result = await carryOut(prepared, options, goal, done);
    const facts = { cluster: goal.cluster, steps: done.length, proven: result.whyNotProven === null };
    await ledger.append({ ...entry, outcome: 'done', facts });
    return result;
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code === 'SETUP_PROPOSAL_OUTDATED') throw error;
    await ledger.append({ ...entry, outcome: 'failed', facts: { cluster: goal.cluster, steps: done.length } });
    throw incomplete(error, done);
  }
}

async function carryOut(
  { proposal, facts }: PreparedSetup,
  options: SetupOptions,
  goal: SetupGoal,
  done: DoneStep[],
): Promise<SetupResult> {
  const { administrator, clock, signal } = options;
  const waits = (why: string, waitsFor: Mend[], arrival: Arrival | null = null): SetupResult => ({
    ...summarize(done),
    ...{ waitsFor, whyNotProven: why, arrival },
  });
  let connection = await connectAsAdministrator(administrator, clock);
  try {
    await refuseOtherSystem(connection, proposal);
    await applyRole(connection, proposal, options, done);
    await letReadDirectly(proposal, options, done);
    await applySettings(connection, proposal.settings, options, done);
    const waiting = await findWaiting(connection, proposal.settings);
    if (waiting.length > 0) {
      if (options.restartCommand === null) {
        const why = `${waiting.join(', ')} will be in force after a restart of the server only.`;
        return waits(why, [restartCommand(facts.server.settings), advice('Then run this set-up again.')]);
      }
      await connection.close();
      await restart(options.restartCommand);
      connection = await reconnect(administrator, clock, signal);
      done.push({ sentence: 'restarted the server', undo: [] });
    }
    // Not before the restart: a server with wal_level = minimal has no use for slots.
    await applySlot(connection, proposal, done);
    const refusal = await letIn(connection, facts, options, done);
    if (refusal !== null) return waits(refusal.why, refusal.mends);
    const arrival = await proveArrival(connection, {
      ...goal,
      ...{ slot: options.wish.slot, server: facts.server, archives: options.wish.archiveCommand !== null },
      ...{ source: roleTarget(options), clock, signal },
    });
    if (arrival.kind === 'arrived') return { ...summarize(done), waitsFor: [], whyNotProven: null, arrival };
    const why = `The segment ${arrival.segment} has not arrived in the repository. ${arrival.sentence}`;
    return waits(why, [advice('Mend that, then run this set-up again.')], arrival);
  } finally {
    await connection.close();
  }
}

async function refuseOtherSystem(connection: PostgresConnection, { system }: SetupProposal): Promise<void> {
  const [result] = await connection.query('SELECT system_identifier FROM pg_control_system()');
  const found = result?.rows[0]?.[0];
  if (found === system) return;
  throw new HoldfastError(
    'SETUP_PROPOSAL_OUTDATED',
    'refused to set up another server than the one that was looked at',
    {
      detail: `Expected system ${system}, found system ${found}.`,
      hints: ['Run the set-up again.'],
    },
  );
}

/** The password is in its file before the server has it: lost in between, it is set again by the next set-up. */
async function applyRole(
  connection: PostgresConnection,
  { role }: SetupProposal,
  { passwordFile, source }: SetupOptions,
  done: DoneStep[],
): Promise<void> {
  if (role === null) return;
  const secret = role.password?.text.reveal();
  if (secret !== undefined && passwordFile !== null) {
    await writePassword(passwordFile, { host: source.host, port: source.port, user: role.name }, secret);
    done.push({ sentence: `wrote the password of "${role.name}" into "${passwordFile}"`, undo: [] });
  }
  for (const statement of role.statements) await connection.query(statement);
  if (secret !== undefined) {
    await connection.query(`ALTER ROLE ${quoteIdentifier(role.name)} PASSWORD ${quoteLiteral(scramVerifier(secret))}`);
  }
  const sentence = `${role.action === 'create' ? 'created' : 'changed'} the role "${role.name}"`;
  done.push({ sentence, undo: role.undo.map(sql) });
}

async function letReadDirectly({ direct }: SetupProposal, options: SetupOptions, done: DoneStep[]): Promise<void> {
  if (direct === null) return;
  await applyDirect(options, direct);
  done.push({ sentence: `let "${direct.role}" read directly`, undo: undoOf(direct) });
}

async function applySettings(
  connection: PostgresConnection,
  steps: readonly SettingStep[],
  { includeFile, clock }: SetupOptions,
  done: DoneStep[],
): Promise<void> {
  const missing = steps.filter(({ isWritten }) => !isWritten);
  if (steps.length === 0) return;
  const doneBefore = done.length;
  const before = includeFile === null ? '' : await readFileIfThere(includeFile);
  if (includeFile !== null) await writeInclude(includeFile, before, steps, done);
  else {
    for (const step of missing) {
      await connection.query(`ALTER SYSTEM SET ${step.name} = ${quoteLiteral(step.to)}`);
      done.push({ sentence: `set ${step.name} to "${step.to}"`, undo: [resetOf(step)] });
    }
  }
  try {
    await reloadAndCheck(connection, steps, includeFile, clock);
  } catch (error) {
    if (done.length === doneBefore) throw error;
    done.length = doneBefore;
    if (includeFile !== null) await replaceFile(includeFile, before, 'server');
    else for (const step of missing) await connection.query(resetOf(step).text);
    await connection.query('SELECT pg_reload_conf()');
    // As with archive_mode = on and a wal_level that is still minimal.
    const sentence = 'took the settings back, as a server need not start with some of them alone';
    done.push({ sentence, undo: [] });
    throw error;
  }
}

/** What earlier set-ups wrote stays. */
async function writeInclude(
  path: string,
  before: string,
  steps: readonly SettingStep[],
  done: DoneStep[],
): Promise<void> {
  const settings = parseSettings(readBlock(before));
  for (const { name, to } of steps) settings.set(name, to);
  const text = replaceBlock(
    before,
    [...settings].map(([name, value]) => formatSetting(name, value)),
    'bottom',
  );
  if (text === before) return;
  await replaceFile(path, text, 'server');
  done.push({
    sentence: `wrote ${steps.map(({ name }) => name).join(', ')} into "${path}"`,
    undo: [takeOutBlock(path)],
  });
}

async function restart(command: string): Promise<void> {
  try {
    await run('/bin/sh', ['-c', command], { timeout: RESTART_MS_MAX });
  } catch (error) {
    throw new HoldfastError('SETUP_RESTART_FAILED', 'could not restart the server', {
      detail: `The command "${command}" failed: ${messageOf(error)}`,
      hints: ['Look at the log of the server, restart it by hand, and run the set-up again.'],
      cause: error,
    });
  }
}

async function applySlot(connection: PostgresConnection, { slot }: SetupProposal, done: DoneStep[]): Promise<void> {
  if (slot === null) return;
  const name = quoteLiteral(slot.name);
  if (slot.action === 'renew') await connection.query(`SELECT pg_drop_replication_slot(${name})`);
  await connection.query(`SELECT pg_create_physical_replication_slot(${name}, true)`);
  const sentence = slot.action === 'create' ? 'made the slot' : 'made the slot anew that the server had given up:';
  const undo = slot.action === 'create' ? [sql(`SELECT pg_drop_replication_slot(${name});`)] : [];
  done.push({ sentence: `${sentence} "${slot.name}"`, undo });
}

/** The connection that will be used, as the role that was set up. */
function roleTarget({ wish, source }: SetupOptions): ConnectionTarget {
  if (wish.role === null) return source;
  const password = wish.role.password?.text.reveal();
  return source.with({ user: wish.role.name, ...(password === undefined ? {} : { password }) });
}

interface LoginRefusal {
  readonly why: string;
  readonly mends: Mend[];
}

/** Tries to log in for replication, and lets the role in when that was asked for; `null` when it is in. */
async function letIn(
  connection: PostgresConnection,
  { server }: SetupFacts,
  options: SetupOptions,
  done: DoneStep[],
): Promise<LoginRefusal | null> {
  const target = roleTarget(options);
  const first = await tryReplication(target, options.clock);
  if (first.kind !== 'refused') return null;
  const address = target.isLocal ? null : (server.addresses?.client ?? '127.0.0.1');
  const isOnThisHost = address === null || address === server.addresses?.server || /^(127\.|::1$)/.test(address);
  const line = hbaLine({ user: target.user, clientAddress: address, isOnThisHost });
  const file = server.settings.get('hba_file')?.value;
  const refusal = (sentence: string): LoginRefusal => ({
    why: `"${target.user}" is not let in for replication. ${sentence}`,
    mends: mendLogin(first.code, line, file),
  });
  if (first.code !== 'PG_ACCESS_DENIED' || !options.writesHba || file === undefined) return refusal(first.sentence);
  const before = await readFileIfThere(file);
  await replaceFile(file, replaceBlock(before, [...new Set([...readBlock(before), line])], 'top'), 'server');
  await connection.query('SELECT pg_reload_conf()');
  done.push({ sentence: `wrote "${line}" into "${file}"`, undo: [takeOutBlock(file)] });
  // The postmaster reads the file when the signal reaches it, which is a moment later.
  for (let tries = 0; tries < 20; tries++) {
    const again = await tryReplication(target, options.clock);
    if (again.kind !== 'refused') return null;
    if (again.code !== 'PG_ACCESS_DENIED') return refusal(again.sentence);
    await options.clock.sleep(200, options.signal);
  }
  return refusal(first.sentence);
}

function mendLogin(code: string, line: string, file: string | undefined): Mend[] {
  if (code === 'PG_PASSWORD_MISSING' || code === 'PG_AUTHENTICATION_FAILED') {
    return [advice('Run again with --write-password FILE, which draws a password, or with --role-password-file FILE.')];
  }
  if (code !== 'PG_ACCESS_DENIED') return [shell('holdfast doctor')];
  return [
    advice(
      'Add the line above any line that refuses this role, or run again with --write-hba on the host of the server.',
    ),
    shell(`echo ${quoteWord(line)} >> ${quoteWord(file ?? 'pg_hba.conf')}`),
    sql('SELECT pg_reload_conf();'),
  ];
}

/** The statements of a proposal, for somebody who may run them. A password is never among them. */
export function listStatements({ settings, role, direct, slot, needsRestart }: SetupProposal): string[] {
  return [
    ...(role?.statements ?? []),
    ...(role?.password == null ? [] : [`-- then give it its password: \\password ${quoteIdentifier(role.name)}`]),
    ...(direct === null ? [] : statementsIn(direct.database, direct.statements)),
    ...settings.map(({ name, to }) => `ALTER SYSTEM SET ${name} = ${quoteLiteral(to)};`),
    ...(settings.length === 0 ? [] : ['SELECT pg_reload_conf();']),
    ...(needsRestart ? ['-- then restart the server'] : []),
    ...(slot?.action === 'renew' ? [`SELECT pg_drop_replication_slot(${quoteLiteral(slot.name)});`] : []),
    ...(slot === null ? [] : [`SELECT pg_create_physical_replication_slot(${quoteLiteral(slot.name)}, true);`]),
  ];
}

/** A value that ALTER SYSTEM had set before is set again; any other comes back by itself. */
function resetOf({ name, from, origin }: SettingStep): Mend {
  // While archiving is off, the server shows no archive_command that could be set again.
  const isFromAlterSystem = /postgresql\.auto\.conf:\d+$/.test(origin) && from !== ARCHIVING_OFF;
  return sql(isFromAlterSystem ? `ALTER SYSTEM SET ${name} = ${quoteLiteral(from)};` : `ALTER SYSTEM RESET ${name};`);
}

/** With the marks of `managed-block.ts`. */
function takeOutBlock(path: string): Mend {
  const [begin, end] = ['begin of what', 'end of what'].map((mark) => `/^# --- ${mark} "holdfast database setup"/`);
  return shell(`sed -i '${begin},${end}d' ${quoteWord(path)}`);
}

function summarize(done: readonly DoneStep[]): Pick<SetupResult, 'done' | 'undo'> {
  const undo = done.toReversed().flatMap((step) => step.undo);
  const isSetting = undo.some(({ text }) => /^(ALTER SYSTEM|sed )/.test(text));
  return {
    done: done.map(({ sentence }) => sentence),
    undo: isSetting ? [...undo, sql('SELECT pg_reload_conf();')] : undo,
  };
}

function incomplete(cause: HoldfastError, done: readonly DoneStep[]): HoldfastError {
  const sentences = done.map(({ sentence }) => sentence).join('; ');
  const told = done.length === 0 ? 'Nothing was changed by then.' : `Done by then: ${sentences}.`;
  return new HoldfastError('SETUP_INCOMPLETE', `could not finish the set-up: ${cause.message}`, {
    detail: [cause.detail, told].filter((text) => text !== undefined).join(' '),
    hints: [...cause.hints, 'Run the same set-up again: what was done is left as it is.'],
    retryable: cause.retryable,
    cause,
  });
}
