import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { plainPaint } from '../../../src/cli/output/index.ts';
import { formatLive, LatestProgress, openScreen, visibleLength, wrapText } from './screen.ts';

function fakeStream(parts: { isTTY?: boolean; columns?: number }): { stream: NodeJS.WriteStream; text: () => string } {
  let text = '';
  const writable = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(writable, parts) as unknown as NodeJS.WriteStream, text: () => text };
}

describe('the screen of the demo', () => {
  it('is a plain log, one line for each step, where nobody watches', async () => {
    const { stream, text } = fakeStream({});
    const screen = openScreen(stream);
    screen.watch(() => '12 writes');
    const value = await screen.step(
      'counting',
      async (progress) => {
        progress.begin('files', { unit: 'files', total: 2 });
        progress.advance(2);
        return 2;
      },
      (count) => `${count} files`,
    );
    assert.equal(value, 2);
    assert.equal(text(), '✓ 2 files\n');
  });

  it('says which step was not done, and lets the error through', async () => {
    const { stream, text } = fakeStream({});
    const failure = new Error('no');
    await assert.rejects(
      openScreen(stream).step('counting', () => Promise.reject(failure), String),
      failure,
    );
    assert.equal(text(), '✗ counting: not done\n');
  });

  it('draws a moving line on a terminal and leaves nothing of it behind', async () => {
    const { stream, text } = fakeStream({ isTTY: true, columns: 60 });
    const screen = openScreen(stream);
    screen.watch(() => '12 writes');
    await screen.step(
      'counting',
      () => new Promise((resolve) => setTimeout(resolve, 250)),
      () => 'counted',
    );
    const lines = text().split('\r\u001B[K').map(stripVTControlCharacters);
    assert.match(lines[1] ?? '', /^. counting {2}12 writes$/);
    assert.equal(lines.at(-1), '✓ counted\n');
  });

  it('keeps within the width of the terminal', () => {
    const { stream } = fakeStream({ isTTY: true, columns: 60 });
    assert.equal(openScreen(stream).width, 60);
    assert.equal(openScreen(fakeStream({ isTTY: true, columns: 300 }).stream).width, 96);
  });
});

describe('the moving line', () => {
  const progress = new LatestProgress();
  progress.begin('copying data', { unit: 'bytes', total: 4096 });
  progress.advance(1024);
  const now = { frame: '*', doing: 'taking a base backup', progress, status: '1,234 writes acknowledged' };

  it('says what is done, how far it is and what else goes on', () => {
    assert.equal(
      formatLive(now, 120, plainPaint),
      '* taking a base backup  copying data  ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  1.00 KiB  1,234 writes acknowledged',
    );
  });

  it('leaves out what there is no room for', () => {
    for (let width = 30; width < 120; width++) assert.ok(formatLive(now, width, plainPaint).length <= width);
    assert.equal(formatLive(now, 40, plainPaint), '* taking a base backup  copying data');
  });
});

describe('wrapping a text', () => {
  it('breaks between words and indents what follows', () => {
    assert.deepEqual(wrapText('✓ one two three four', 10, 2), ['✓ one two', '  three', '  four']);
  });

  it('does not count colours, and leaves a word alone that is longer than the line', () => {
    assert.equal(visibleLength('\u001B[32mgreen\u001B[39m'), 5);
    assert.deepEqual(wrapText('\u001B[32mgreen\u001B[39m and unbreakable', 9, 0), [
      '\u001B[32mgreen\u001B[39m and',
      'unbreakable',
    ]);
  });
});
