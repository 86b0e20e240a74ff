/**
 * The one base class of every error that may reach a user.
 *
 * `message`: one line, lower case, no full stop, names the kind of thing and quotes it.
 * `detail`:  what was expected and what was found, as whole sentences.
 * `hints`:   what to type or check, a sentence each.
 * `retryable`: true when the same call may succeed later without anybody's help.
 *
 * No secret, password or key may enter any part. Every code is listed in `docs/errors.md`; a test compares.
 */
export class HoldfastError extends Error {
  readonly code: string;
  readonly detail: string | undefined;
  readonly hints: readonly string[];
  readonly retryable: boolean;

  constructor(code: string, message: string, options: ErrorParts = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.detail = options.detail;
    this.hints = options.hints ?? [];
    this.retryable = options.retryable ?? false;
  }
}

/** The optional parts of a `HoldfastError`. */
export interface ErrorParts {
  detail?: string;
  hints?: readonly string[];
  retryable?: boolean;
  cause?: unknown;
}

/**
 * An error as a worker thread threw it. On its way to this thread it has kept its parts and lost its class, without which it would pass
 * for a fault of the program. Anything else is given back as it is.
 */
export function errorOfWorker(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof HoldfastError) return error;
  const { code, detail, hints, retryable } = error as Partial<HoldfastError>;
  if (typeof code !== 'string' || !Array.isArray(hints)) return error;
  return new HoldfastError(code, error.message, {
    ...(typeof detail === 'string' ? { detail } : {}),
    hints: hints.map(String),
    retryable: retryable === true,
    cause: error,
  });
}

/** The same error with one more hint, behind its own. */
export function withHint(
  { code, message, detail, hints, retryable, cause }: HoldfastError,
  hint: string,
): HoldfastError {
  return new HoldfastError(code, message, {
    ...(detail === undefined ? {} : { detail }),
    hints: [...hints, hint],
    retryable,
    cause,
  });
}

/** The text of anything that was thrown, for use inside another message. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return String(error);
}

/** The `code` of a system or Holdfast error, `undefined` for anything else. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return undefined;
}
