import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { findTerminal } from './terminal.ts';

/** Streams that behave as a terminal's do, as far as a question needs. */
function makeTerminal() {
  const modes: boolean[] = [];
  const shown: string[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) });
  const stderr = { isTTY: true, write: (text: string) => shown.push(text) };
  const controller = new AbortController();
  const streams = [stdin as unknown as NodeJS.ReadStream, stderr as unknown as NodeJS.WriteStream] as const;
  const terminal = findTerminal(...streams, controller.signal);
  assert.ok(terminal !== null);
  return { terminal, stdin, modes, shown, controller };
}

describe('a question for a secret', () => {
  it('gives what was typed, corrections included, and shows none of it', async () => {
    const { terminal, stdin, modes, shown } = makeTerminal();
    const answer = terminal.askSecret('Passphrase:');
    for (const keys of ['ses', 'x', '\u007F', 'ame é', '\r']) stdin.write(keys);
    assert.equal(await answer, 'sesame é');
    assert.deepEqual(modes, [true, false]);
    assert.equal(shown.join(''), 'Passphrase: \n');
  });

  it('ends with an error on Ctrl-C and leaves the terminal as it was', async () => {
    const { terminal, stdin, modes } = makeTerminal();
    const answer = terminal.askSecret('Passphrase:');
    stdin.write('ses\u0003');
    await assert.rejects(answer, { code: 'INTERRUPTED' });
    assert.deepEqual(modes, [true, false]);
  });

  it('ends with an error when the command is stopped from elsewhere', async () => {
    const { terminal, controller, modes } = makeTerminal();
    const answer = terminal.askSecret('Passphrase:');
    controller.abort();
    await assert.rejects(answer, { code: 'INTERRUPTED' });
    assert.deepEqual(modes, [true, false]);
  });

  it('is not put where nobody can answer', () => {
    const { stdin } = makeTerminal();
    const pipe = { isTTY: undefined, write: () => true } as unknown as NodeJS.WriteStream;
    assert.equal(findTerminal(stdin as unknown as NodeJS.ReadStream, pipe, new AbortController().signal), null);
  });
});
