import { execFile } from 'node:child_process';
import { HoldfastError } from '../../lib/index.ts';

/** A program and its words, or a line for `sh`. */
export type KeyCommand = string | readonly string[];

/** Long enough for a key service across the world that is asked twice, short enough to notice a command that waits for a person. */
const COMMAND_WAIT_MS_MAX = 60_000;
/** What a key service makes of 64 bytes is well below this. */
const ANSWER_BYTES_MAX = 32 << 10;

/**
 * Has a command wrap or unwrap a few bytes: they go to its standard input, and what it made of them is read from its standard output.
 *
 * It is called with one more word, `wrap` or `unwrap` (for a line for `sh`: `$1`), and `HOLDFAST_KEY_CONTEXT` says which slot of which repository
 * it is for. Nothing secret stands among its words or in its environment. Protocol: `docs/design.md` 3.
 * Errors: `KEY_COMMAND_FAILED` (retryable: a key service may be away), which repeats nothing that the command said.
 */
export function runKeyCommand(
  command: KeyCommand,
  operation: 'wrap' | 'unwrap',
  context: string,
  input: Uint8Array,
): Promise<Buffer> {
  const [program, ...words] = typeof command === 'string' ? ['/bin/sh', '-c', command, 'holdfast-key'] : command;
  return new Promise((done, fail) => {
    const child = execFile(
      program!,
      [...words, operation],
      {
        encoding: 'buffer',
        env: { ...process.env, HOLDFAST_KEY_CONTEXT: context },
        timeout: COMMAND_WAIT_MS_MAX,
        maxBuffer: ANSWER_BYTES_MAX,
      },
      (error, output) => {
        if (error === null && output.length > 0) return done(output);
        fail(
          commandFailed(command, operation, error === null ? 'It ended well and printed nothing.' : describe(error)),
        );
      },
    );
    // A command that ends without reading must be told of by its exit code, not by a broken pipe.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

function describe(error: Error & { killed?: boolean; code?: unknown; signal?: unknown }): string {
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `It printed more than ${ANSWER_BYTES_MAX} bytes.`;
  if (error.killed === true) return `It gave no answer within ${COMMAND_WAIT_MS_MAX / 1000} s.`;
  return typeof error.code === 'number'
    ? `It ended with exit code ${error.code}.`
    : `It could not be run, or was killed: ${String(error.code ?? error.signal)}.`;
}

function commandFailed(command: KeyCommand, operation: string, detail: string): HoldfastError {
  const name = typeof command === 'string' ? command.trim().split(/\s+/)[0]! : command[0]!;
  return new HoldfastError('KEY_COMMAND_FAILED', `could not ${operation} a key by the command "${name}"`, {
    detail,
    hints: [
      'Run the command by hand, and check that its key service can be reached and allows it.',
      'Its protocol is in docs/keys.md.',
    ],
    retryable: true,
  });
}
