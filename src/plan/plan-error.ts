import { HoldfastError } from '../lib/index.ts';

/** One thing that is wrong with what a plan, a variable or a flag says. */
export interface PlanProblem {
  /** Dotted path, as in `repository.keyFile`. */
  readonly option: string;
  /** The value as it was read, quoted; `null` when there is none or it must not be shown. */
  readonly value: string | null;
  /** One whole sentence: what was expected, or what went wrong. */
  readonly sentence: string;
  /** Where it was read: a file, a variable, a flag; `null` when it was read nowhere. */
  readonly origin: string | null;
  /** Its line in that file, the first being 1; left out or `null` when it is not known. */
  readonly line?: number | null;
}

/** A value in quotes as it was read; `null` for one that may hold a secret although it should not, such as an address with a password. */
export function quoteValue(value: unknown): string | null {
  const text = JSON.stringify(value) ?? null;
  return text !== null && mayHoldSecret.test(text) ? null : text;
}

/** A user's part in an address, a parameter or a key word that is called as secrets are. */
const mayHoldSecret =
  /:\/\/[^/"]*@|[?&][^=&"]*(secret|password|token|signature|credential|sig|key)[^=&"]*=|(password|passphrase|secret|token)\s*=/i;

/** Everything that is wrong in plan, environment and flags, at once. One line of `detail` for each problem. */
export class PlanError extends HoldfastError {
  readonly problems: readonly PlanProblem[];

  constructor(problems: readonly PlanProblem[], hints: readonly string[] = []) {
    const message =
      problems.length === 1 ? 'the settings have a problem' : `the settings have ${problems.length} problems`;
    super('PLAN_INVALID', message, { detail: problems.map(formatProblem).join('\n'), hints });
    this.problems = problems;
  }
}

function formatProblem(problem: PlanProblem): string {
  const value = problem.value === null ? '' : ` is ${problem.value}`;
  const line = typeof problem.line === 'number' ? `:${problem.line}` : '';
  const origin = problem.origin === null ? '' : ` (${problem.origin}${line})`;
  return `${problem.option}${value}${origin}: ${problem.sentence}`;
}
