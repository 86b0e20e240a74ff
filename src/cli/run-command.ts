import { assert, codeOf, HoldfastError } from '../lib/index.ts';
import { type Flags, loadPlan, PRIMARY, type ResolvedPlan } from '../plan/index.ts';
import type { Access, Command, CommandContext, CommandInput } from './command.ts';
import { type CommandEnd, exitReasonOf } from './exit-code.ts';
import { Opening } from './opening.ts';
import { PlaceTrouble } from './place-trouble.ts';
import { describeMachine, libraryUrl } from './plan-world.ts';
import type { FlagValue, Invocation } from './program.ts';
import type { Reporter } from './reporter.ts';
import type { Surroundings } from './surroundings.ts';
import { findTerminal, type Terminal } from './terminal.ts';

/** Runs one command from the plan to the result, prints that, and says how it ended. Never throws. */
export async function runCommand(
  { command, values, planFlags }: Invocation,
  surroundings: Surroundings,
  reporter: Reporter,
): Promise<CommandEnd> {
  const terminal = findTerminal(surroundings.stdin, surroundings.stderr, surroundings.signal);
  const trouble = new PlaceTrouble(reporter, surroundings.clock);
  let opening: Opening | null = null;
  try {
    const input = inputOf(values);
    const access = typeof command.access === 'function' ? command.access(input) : command.access;
    const plan = await readPlan(command, access, values.get('plan'), planFlags, surroundings, terminal);
    if (plan.cluster.connection !== null) reporter.redaction.addConnection(plan.cluster.connection.reveal());
    const asked = command.readsFromPlace === true ? input.optional('from') : undefined;
    const from = command.readsPrimaryAlone === true ? PRIMARY : asked;
    const readsWithoutPrimary = command.readsWithoutPrimary === true;
    // What PostgreSQL waits for brings its own file, and leaves comparing to others.
    const catchUp = access !== 'deferred';
    const keepsWal = command.keepsWal === true;
    const writesToCopy = command.writesToCopy === true;
    const feedsCopies = command.bringsToCopies !== true;
    opening = new Opening({
      ...{ plan, surroundings, reporter, trouble, terminal, from, readsWithoutPrimary, catchUp, keepsWal },
      ...{ writesToCopy, feedsCopies },
    });
    if (access === 'read' || access === 'write') await opening.open(access);
    const context = makeContext({ plan, opening, surroundings, reporter, terminal, trouble });
    const outcome = await command.run(context, input);
    if (command.leavesCopies !== true) await opening.settle();
    // Before the result, as copies that are caught up meanwhile may have something to tell.
    await opening.close();
    reporter.finish({ ...outcome, json: { ...outcome.json, ...opening.troubleDocument } });
    // What ended cleanly because it was asked to did not do all that it was started for.
    if (surroundings.signal.aborted) return { reason: 'interrupted' };
    return { reason: outcome.reason ?? 'done', ...(outcome.code === undefined ? {} : { code: outcome.code }) };
  } catch (error) {
    const wasInterrupted = surroundings.signal.aborted || codeOf(error) === 'INTERRUPTED';
    reporter.fail(wasInterrupted ? interruptionOf(surroundings.signal, error) : error);
    return { reason: wasInterrupted ? 'interrupted' : exitReasonOf(error) };
  } finally {
    await opening?.close();
  }
}

function readPlan(
  command: Command,
  access: Access,
  planFile: FlagValue | undefined,
  flags: Flags,
  surroundings: Surroundings,
  terminal: Terminal | null,
): Promise<ResolvedPlan> {
  const opens = access === 'read' || access === 'write' || access === 'deferred';
  return loadPlan({
    ...(typeof planFile === 'string' ? { planFile } : {}),
    directory: surroundings.directory,
    flags,
    libraryUrl,
    machine: describeMachine(surroundings.environment),
    needs: {
      ...(access === 'none' ? {} : { primary: access === 'wanted' ? 'wanted' : 'required', copies: 'required' }),
      // A person can be asked, and whoever creates a repository is told of more ways.
      ...(opens ? { credential: terminal === null ? 'required' : 'wanted' } : {}),
      ...(access === 'create' || access === 'wanted' || command.usesKeyIfGiven === true
        ? { credential: 'wanted' }
        : {}),
      ...(command.database === 'none' ? {} : { connection: command.database }),
    },
  });
}

interface ContextParts {
  readonly plan: ResolvedPlan;
  readonly opening: Opening;
  readonly surroundings: Surroundings;
  readonly reporter: Reporter;
  readonly terminal: Terminal | null;
  readonly trouble: PlaceTrouble;
}

function makeContext(parts: ContextParts): CommandContext {
  const { plan, opening, surroundings, reporter, terminal, trouble } = parts;
  return {
    plan,
    onRetry: trouble.tellRetry,
    open: () => opening.open('write'),
    get repository() {
      return opening.repository;
    },
    get copies() {
      return opening.copies;
    },
    get spool() {
      return opening.spool;
    },
    get standIn() {
      return opening.standIn;
    },
    get takenIn() {
      return opening.takenIn;
    },
    get unreadWal() {
      return opening.unreadWal;
    },
    clock: surroundings.clock,
    environment: surroundings.environment,
    signal: surroundings.signal,
    progress: reporter.progress,
    terminal,
    redaction: reporter.redaction,
    say: reporter.say,
    emit: reporter.emit,
  };
}

function inputOf(values: Invocation['values']): CommandInput {
  const optional = (name: string) => {
    const value = values.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    optional,
    required: (name) => {
      const value = optional(name);
      assert(value !== undefined, `"${name}" is declared as required`);
      return value;
    },
    all: (name) => {
      const value = values.get(name) ?? [];
      assert(value !== true && typeof value !== 'string', `"${name}" is declared as repeatable`);
      return value;
    },
    isSet: (flag) => values.get(flag) === true,
  };
}

/** The reason of an abort is our own error; what engines threw because of it says less. */
function interruptionOf(signal: AbortSignal, error: unknown): unknown {
  return signal.reason instanceof HoldfastError ? signal.reason : error;
}
