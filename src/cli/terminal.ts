import { HoldfastError } from '../lib/index.ts';

/** A person at a keyboard. Questions go to standard error, so that results can be redirected. */
export interface Terminal {
  /** What was typed, without the line end, without showing it. Errors: INTERRUPTED on Ctrl-C and Ctrl-D. */
  askSecret(question: string): Promise<string>;
  /** The same, shown as it is typed. */
  askLine(question: string): Promise<string>;
}

/** A terminal when both ends are one, else `null`: nobody is asked who cannot answer. */
export function findTerminal(
  stdin: NodeJS.ReadStream,
  stderr: NodeJS.WriteStream,
  signal: AbortSignal,
): Terminal | null {
  if (stdin.isTTY !== true || stderr.isTTY !== true) return null;
  return {
    askSecret: (question) => readLine(stdin, stderr, signal, { question, isShown: false }),
    askLine: (question) => readLine(stdin, stderr, signal, { question, isShown: true }),
  };
}

/** The line is read key by key, as the terminal would otherwise show it. */
function readLine(
  stdin: NodeJS.ReadStream,
  stderr: NodeJS.WriteStream,
  signal: AbortSignal,
  { question, isShown }: { question: string; isShown: boolean },
): Promise<string> {
  const show = (text: string) => {
    if (isShown) stderr.write(text);
  };
  // Before the question is shown: whoever answers it at once must not see the answer either.
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  stderr.write(`${question} `);
  return new Promise((done, fail) => {
    const typed: string[] = [];
    const finish = (act: () => void) => {
      stdin.off('data', onData);
      signal.removeEventListener('abort', onInterrupted);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      act();
    };
    const onData = (chunk: Buffer | string) => {
      for (const key of String(chunk)) {
        if (key === '\r' || key === '\n') return finish(() => done(typed.join('')));
        if (key === '\u0003' || key === '\u0004') {
          return onInterrupted();
        }
        if (key === '\u007F' || key === '\b') {
          if (typed.pop() !== undefined) show('\b \b');
        } else if (key >= ' ') {
          typed.push(key);
          show(key);
        }
      }
    };
    const onInterrupted = () => finish(() => fail(new HoldfastError('INTERRUPTED', 'interrupted at a question')));
    stdin.on('data', onData);
    signal.addEventListener('abort', onInterrupted, { once: true });
    if (signal.aborted) onInterrupted();
  });
}
