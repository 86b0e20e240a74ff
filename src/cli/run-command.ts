import { access as accessPath, constants, mkdir } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import { assert, codeOf, HoldfastError } from '../lib/index.ts';
import { type Flags, loadPlan, type ResolvedPlan } from '../plan/index.ts';
import type { Credential, Repository } from '../repository/index.ts';
import type { Access, Command, CommandContext, CommandInput } from './command.ts';
import { askPassphrase, toCredential } from './credential.ts';
import { type CommandEnd, exitReasonOf } from './exit-code.ts';
import { openPlaces } from './open-places.ts';
import type { FlagValue, Invocation } from './program.ts';
import type { Reporter } from './reporter.ts';
import type { Surroundings } from './surroundings.ts';
import { findTerminal, type Terminal } from './terminal.ts';

/** What a plan's `import … from 'holdfast'` gives: this very package, from its sources or from what is built of them. */
const libraryUrl = new URL(import.meta.url.endsWith('.ts') ? '../index.ts' : '../index.js', import.meta.url).href;

/** Runs one command from the plan to the result, prints that, and says how it ended. Never throws. */
export async function runCommand(
  { command, values, planFlags }: Invocation,
  surroundings: Surroundings,
  reporter: Reporter,
): Promise<CommandEnd> {
  const terminal = findTerminal(surroundings.stdin, surroundings.stderr, surroundings.signal);
  let repository: Repository | null = null;
  try {
    const input = inputOf(values);
    const access = typeof command.access === 'function' ? command.access(input) : command.access;
    const plan = await readPlan(command, access, values.get('plan'), planFlags, surroundings, terminal);
    if (plan.cluster.connection !== null) reporter.redaction.addConnection(plan.cluster.connection.reveal());
    repository = await openForCommand(access, plan, surroundings, reporter, terminal);
    const open = async () => {
      repository ??= await openForCommand('write', plan, surroundings, reporter, terminal);
      assert(repository !== null, 'a repository that is to be written is opened');
      return repository;
    };
    const context = makeContext(plan, () => repository, open, surroundings, reporter, terminal);
    const outcome = await command.run(context, inputOf(values));
    reporter.finish(outcome);
    // What ended cleanly because it was asked to did not do all that it was started for.
    if (surroundings.signal.aborted) return { reason: 'interrupted' };
    return { reason: outcome.reason ?? 'done', ...(outcome.code === undefined ? {} : { code: outcome.code }) };
  } catch (error) {
    const wasInterrupted = surroundings.signal.aborted || codeOf(error) === 'INTERRUPTED';
    reporter.fail(wasInterrupted ? interruptionOf(surroundings.signal, error) : error);
    return { reason: wasInterrupted ? 'interrupted' : exitReasonOf(error) };
  } finally {
    await repository?.close();
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
    machine: {
      cores: availableParallelism(),
      homeDirectory: homedir(),
      isRoot: process.getuid?.() === 0,
      environment: surroundings.environment,
    },
    needs: {
      ...(access === 'none' ? {} : { primary: access === 'wanted' ? 'wanted' : 'required', copies: 'required' }),
      // A person can be asked, and whoever creates a repository is told of more ways.
      ...(opens ? { credential: terminal === null ? 'required' : 'wanted' } : {}),
      ...(access === 'create' || access === 'wanted' ? { credential: 'wanted' } : {}),
      ...(command.database === 'none' ? {} : { connection: command.database }),
    },
  });
}

async function openForCommand(
  access: Access,
  plan: ResolvedPlan,
  surroundings: Surroundings,
  reporter: Reporter,
  terminal: Terminal | null,
): Promise<Repository | null> {
  if (access === 'none' || access === 'create' || access === 'wanted' || access === 'deferred') return null;
  const { credential } = plan.repository;
  const { openRepository } = await import('../repository/index.ts');
  const store = await openPlaces(plan, { clock: surroundings.clock, redaction: reporter.redaction });
  let opened: Credential;
  if (credential !== null) opened = toCredential(credential, reporter.redaction);
  else {
    assert(terminal !== null, 'a credential may be missing only where somebody can be asked');
    opened = await askPassphrase(terminal, reporter.redaction);
  }
  const scratch = await findScratchDirectory(plan.stateDirectory, access);
  return await openRepository({
    store,
    credential: opened,
    access,
    clock: surroundings.clock,
    ...(scratch === null ? {} : { stateDirectory: scratch }),
  });
}

/**
 * The state directory, when temporary files can lie there. Who only reads need not have one, and in a disaster it may be gone: then the system's
 * own place for temporary files serves.
 */
async function findScratchDirectory(stateDirectory: string, access: Access): Promise<string | null> {
  try {
    if (access === 'write') await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    await accessPath(stateDirectory, constants.W_OK | constants.X_OK);
    return stateDirectory;
  } catch {
    // Whatever needs the directory itself, such as the ledger, tells what is wrong with it.
    return null;
  }
}

function makeContext(
  plan: ResolvedPlan,
  opened: () => Repository | null,
  open: () => Promise<Repository>,
  surroundings: Surroundings,
  reporter: Reporter,
  terminal: Terminal | null,
): CommandContext {
  return {
    plan,
    open,
    get repository(): Repository {
      const repository = opened();
      assert(repository !== null, 'a command uses a repository only if it declares so');
      return repository;
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
