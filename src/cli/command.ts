import type { Clock, Progress } from '../lib/index.ts';
import type { ResolvedPlan } from '../plan/index.ts';
import type { ObjectStore, Repository, Retry, SpooledStore } from '../repository/index.ts';
import type { CopyKeeper } from './copy-keeper.ts';
import type { ExitCodeKind } from './exit-code.ts';
import type { Outcome, Paint, Redaction } from './output/index.ts';
import type { Terminal } from './terminal.ts';
import type { UnreadWal } from './waiting-wal.ts';

/**
 * One command: what it is called, what it may touch, which flags it has, and the one engine function it calls.
 *
 * Loading a command's file must stay cheap, as every start loads all of them for `--help`: engines are imported inside `run`.
 */
export interface Command {
  /** `['wal', 'stream']` is typed as `holdfast wal stream`. */
  readonly path: readonly [string, ...string[]];
  /** One sentence for the list of commands. */
  readonly summary: string;
  /** Further sentences for its own `--help`. */
  readonly details?: readonly string[];
  /** For its own `--help`: lines that can be typed as they stand, but for names and places. */
  readonly examples?: readonly Example[];
  /** `create`, `places`, `wanted` and `none` leave the repository closed; `create` and `places` must be told where it lies, `wanted` takes what it is told of it. `deferred` has all that opening needs, and opens when it comes to that. */
  readonly access: Access | ((input: CommandInput) => Access);
  /** Whether it has the flag `--from`, which names the one place that is read. */
  readonly readsFromPlace?: boolean;
  /** Whether it opens the primary without its copies: for what is about the primary itself. */
  readonly readsPrimaryAlone?: boolean;
  /** Whether it does without writing while the primary is away; it finds the repository opened for reading then. */
  readonly readsWithoutPrimary?: boolean;
  /** Whether WAL that the primary does not take is kept on this machine meanwhile. */
  readonly keepsWal?: boolean;
  /** Whether a copy may stand in for a primary that is away; what it writes there is brought to the primary later. */
  readonly writesToCopy?: boolean;
  /** For `places`: whether it opens the repository where a key is given, and does without where none is. */
  readonly usesKeyIfGiven?: boolean;
  /** Whether it ends at once instead of waiting for copies to have what it wrote. */
  readonly leavesCopies?: boolean;
  /** Whether it brings to copies itself, as it was told: what it writes goes to the primary alone. */
  readonly bringsToCopies?: boolean;
  /** Whether it talks to the server; `wanted` does without when no connection is given. */
  readonly database: 'none' | 'wanted' | 'required';
  /** Options of the plan that are flags of this command too, besides those that follow from `access` and `database`. */
  readonly planOptions?: readonly string[];
  readonly arguments?: readonly Argument[];
  readonly flags?: readonly Flag[];
  /** `postgresql` for what PostgreSQL itself calls. */
  readonly exitCodes?: ExitCodeKind;
  run(context: CommandContext, input: CommandInput): Promise<Outcome>;
}

export interface Example {
  /** Begins with `holdfast`. */
  readonly line: string;
  /** What it does, in a few words. */
  readonly does: string;
}

export type Access = 'none' | 'wanted' | 'create' | 'places' | 'deferred' | 'read' | 'write';

export interface Argument {
  /** `snapshot` is required, `[snapshot]` is not, and of `[snapshot...]` there may be any number. */
  readonly name: string;
  readonly help: string;
  readonly choices?: readonly string[];
}

export interface Flag {
  /** `--into <directory>`, or `--exclusive` for one without a value. */
  readonly flag: string;
  readonly help: string;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  /** May stand several times; `all` gives every value. */
  readonly repeatable?: boolean;
}

/** What a command works with. */
export interface CommandContext {
  readonly plan: ResolvedPlan;
  /** Opened as `access` says; asserts that it was. Closed by whoever runs the command. */
  readonly repository: Repository;
  /** The copies of the repository that was opened. */
  readonly copies: CopyKeeper;
  /** Where WAL waits while the primary is away, for a command that keeps it. */
  readonly spool: SpooledStore | null;
  /** The repository as copies and this machine have it, for a command that keeps WAL. */
  readonly standIn: ObjectStore | null;
  /** The copy that stands in for a primary that is away; `null` otherwise. */
  readonly takenIn: string | null;
  /** WAL that waits on this machine and cannot be used: whoever takes the end of the stored WAL for the end of all WAL refuses. */
  readonly unreadWal: UnreadWal | null;
  /** Opens the repository for writing, once; for `deferred`. Closed by whoever runs the command. Errors: as opening. */
  open(): Promise<Repository>;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Where a person can be asked; `null` where nobody would answer. */
  readonly terminal: Terminal | null;
  /** To be told of a place that is tried again, by its name. */
  readonly onRetry: (place: string, retry: Retry) => void;
  /** To be told of every secret that a command comes by. */
  readonly redaction: Redaction;
  /** Shows lines to a person before the result; programs get an event instead. */
  say(lines: (paint: Paint) => string[]): void;
  /** One line of NDJSON when `--events` was asked for, nothing otherwise. */
  emit(event: string, facts: Readonly<Record<string, unknown>>): void;
}

/** What was typed. */
export interface CommandInput {
  /** An argument or the value of a flag by its name without dashes; asserts that it is required. */
  required(name: string): string;
  optional(name: string): string | undefined;
  /** Every value of a repeatable flag or argument, in the order in which they were typed. */
  all(name: string): readonly string[];
  isSet(flag: string): boolean;
}
