import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { inspect, stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { AssertionFailed, type Clock, HoldfastError } from '../../lib/index.ts';
import { errorDocument, formatError, formatTraces } from './error-text.ts';
import { plainPaint } from './paint.ts';
import { barDisplay, eventDisplay, formatBar, lineDisplay } from './progress-display.ts';
import { Redaction } from './redaction.ts';
import { formatFacts, formatTable } from './table.ts';
import { quoteForShell } from './words.ts';

/** A clock that moves only when it is told to. */
class HeldClock implements Clock {
  ms = 1_000;
  now = () => this.ms;
  monotonic = () => this.ms;
  sleep = () => Promise.resolve();
}

describe('a table', () => {
  it('keeps its columns under their heads, however long the cells and whatever their colour', () => {
    const columns = [{ head: 'NAME' }, { head: 'SIZE', align: 'right' as const }, { head: 'NOTE' }];
    const rows = [
      ['a', '1 B', 'first'],
      ['\u001B[32mgreen\u001B[39m', '1024 MiB', ''],
    ];
    assert.deepEqual(formatTable(columns, rows, plainPaint).map(stripVTControlCharacters), [
      'NAME       SIZE  NOTE',
      'a           1 B  first',
      'green  1024 MiB',
    ]);
  });

  it('of facts keeps further lines of a value under the first', () => {
    const facts = [['name', 'shop'] as const, ['hint to you', 'one\ntwo'] as const];
    assert.deepEqual(formatFacts(facts, plainPaint), ['name         shop', 'hint to you  one', '             two']);
  });
});

describe('an error', () => {
  const error = new HoldfastError('THING_LOST', 'could not find the thing "x"', {
    detail: 'Expected it here.\nFound nothing.',
    hints: ['Look there.', 'Ask.'],
    cause: new Error('inner'),
  });

  it('is shown as what happened, what was found and what to do, without a trace', () => {
    assert.deepEqual(formatError(error, plainPaint), [
      'error: could not find the thing "x"',
      '  Expected it here.',
      '  Found nothing.',
      '  hint: Look there.',
      '  hint: Ask.',
    ]);
  });

  it('has its code and all parts in JSON', () => {
    assert.deepEqual(errorDocument(error), {
      error: {
        code: 'THING_LOST',
        message: 'could not find the thing "x"',
        detail: 'Expected it here.\nFound nothing.',
        hints: ['Look there.', 'Ask.'],
        retryable: false,
      },
    });
  });

  it('that nobody foresaw is said to be a fault of the program', () => {
    for (const thrown of [new AssertionFailed('broken invariant: x'), new TypeError('x is not y'), 'text', undefined]) {
      const [first, hint] = formatError(thrown, plainPaint);
      assert.match(first!, /^error: unexpected failure: /);
      assert.match(hint!, /HOLDFAST_DEBUG=1/);
    }
  });

  it('shows its whole chain of causes when traces are asked for', () => {
    assert.match(formatTraces(error).join('\n'), /could not find the thing[\s\S]*Error: inner/);
  });
});

describe('progress', () => {
  function workThrough(makeDisplay: (clock: Clock, out: string[]) => ReturnType<typeof lineDisplay>): string[] {
    const clock = new HeldClock();
    const out: string[] = [];
    const display = makeDisplay(clock, out);
    display.begin('copying data', { total: 30 * 2 ** 20 });
    for (let second = 0; second < 30; second++) {
      clock.ms += 1_000;
      display.advance(2 ** 20);
    }
    display.note('waited for the server');
    display.begin('listing files', { unit: 'files' });
    clock.ms += 500;
    display.advance(1);
    display.close();
    display.begin('half done');
    display.close(true);
    return out;
  }

  it('off a terminal is a line now and then, and one for each stage that is over', () => {
    const out = workThrough((clock, lines) => lineDisplay(clock, (line) => lines.push(line)));
    assert.deepEqual(out, [
      'copying data: 10.0 MiB of 30.0 MiB, 33 %, 1.00 MiB/s, 20.0 s left',
      'copying data: 20.0 MiB of 30.0 MiB, 66 %, 1.00 MiB/s, 10.0 s left',
      'copying data: 30.0 MiB of 30.0 MiB, 100 %, 1.00 MiB/s, 0 ms left',
      'waited for the server',
      'copying data: 30.0 MiB in 30.0 s (1.00 MiB/s)',
      'listing files: 1 file in 500 ms',
      'half done: not finished',
    ]);
  });

  it('for programs says when stages begin and end, and how far they are in between', () => {
    const out = workThrough((clock, lines) =>
      eventDisplay(clock, (event, facts) => lines.push(`${event} ${facts.done ?? facts.message}`)),
    );
    assert.equal(out.length, 1 + 30 + 1 + 1 + 2 + 2);
    assert.equal(out[0], 'stage-begun 0');
    assert.equal(out[30], `progress ${30 * 2 ** 20}`);
    assert.deepEqual(out.slice(-2), ['stage-begun 0', 'stage-failed 0']);
  });

  it('on a terminal redraws one line and never lets it wrap', () => {
    const clock = new HeldClock();
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 200 }),
        fc.nat({ max: 2 ** 40 }),
        fc.nat({ max: 2 ** 40 }),
        (columns, done, total) => {
          const written: string[] = [];
          const stream = { columns, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
          const display = barDisplay(clock, stream, plainPaint);
          display.begin('copying data', { total });
          clock.ms += 1_000;
          display.advance(done);
          return written.every((text) => stripVTControlCharacters(text).replaceAll('\r', '').length < columns);
        },
      ),
    );
    const written: string[] = [];
    const stream = { columns: 80, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
    const display = barDisplay(clock, stream, plainPaint);
    display.makeRoom();
    assert.deepEqual(written, []);
    display.begin('copying data');
    display.makeRoom();
    assert.match(written.at(-1)!, /^\r\S+$/, 'what comes next stands in a line of its own');
    const reading = { stage: 'copying', unit: 'bytes', rate: 2 ** 20, secondsLeft: 8, seconds: 8 } as const;
    assert.equal(
      formatBar({ ...reading, done: 8 * 2 ** 20, total: 16 * 2 ** 20 }, 79, plainPaint),
      '  copying  ━━━━━━━━───────   50 %  8.00 MiB of 16.0 MiB  1.00 MiB/s  8.0 s left',
    );
  });
});

describe('the redaction', () => {
  it('hides a secret in whatever form a message holds it', () => {
    const redaction = new Redaction();
    redaction.add('open "sesame" & more');
    for (const form of [
      'open "sesame" & more',
      JSON.stringify({ passphrase: 'open "sesame" & more' }),
      `x=${encodeURIComponent('open "sesame" & more')}`,
      inspect('open "sesame" & more'),
    ]) {
      assert.doesNotMatch(redaction.apply(form), /sesame/);
    }
  });

  it('hides the password of a connection string and nothing else of it', () => {
    for (const connection of [
      'postgresql://ann:ses%40me%3A@db:5432/shop',
      'postgresql:///shop?user=ann&password=ses%40me%3A&host=db',
      "host=db user=ann password='ses@me:' dbname=shop",
      'host=db user=ann password=ses@me: dbname=shop',
    ]) {
      const redaction = new Redaction();
      redaction.addConnection(connection);
      const shown = redaction.apply(`${connection} ses@me:`);
      assert.doesNotMatch(shown, /ses/, connection);
      assert.match(shown, /db/);
      assert.match(shown, /ann/);
    }
  });

  it('leaves words alone that are shorter than a secret may be', () => {
    const redaction = new Redaction();
    redaction.add('to');
    assert.equal(redaction.apply('nothing to hide'), 'nothing to hide');
  });
});

describe('a word for the shell', () => {
  it('comes out of the shell as it went in', () => {
    for (const word of ['/plain/path-1', '/it\'s a "dir" $HOME `x` \\ *', '', '\n'])
      assert.equal(execFileSync('/bin/sh', ['-c', `printf %s ${quoteForShell(word)}`], { encoding: 'utf8' }), word);
  });
});
