import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions } from './options.ts';

describe('the options of the demo', () => {
  it('drop a table after ten seconds when nothing is asked for', () => {
    assert.deepEqual(parseOptions([]), {
      disaster: 'dropped-table',
      seconds: 10,
      keep: false,
      json: false,
      help: false,
    });
  });

  it('are read in either form', () => {
    const expected = { disaster: 'database-failure', seconds: 2.5, keep: true, json: true, help: false };
    assert.deepEqual(
      parseOptions(['--disaster', 'database-failure', '--seconds', '2.5', '--keep', '--json']),
      expected,
    );
    assert.deepEqual(parseOptions(['--keep', '--disaster=database-failure', '--json', '--seconds=2.5']), expected);
  });

  const refusals: [string[], RegExp][] = [
    [['--disaster', 'flood'], /unrecognized disaster "flood"/],
    [['--disaster'], /option "--disaster" needs a value/],
    [['--loud'], /unrecognized option "--loud"/],
    [['-k'], /unrecognized option "-k"/],
    [['--json=yes'], /option "--json" takes no value/],
    [['now'], /unexpected argument "now"/],
    [['--seconds', 'ten'], /invalid number of seconds "ten"/],
    [['--seconds', '0'], /invalid number of seconds "0"/],
    [['--seconds=1e9'], /invalid number of seconds "1e9"/],
    [['--seconds', '4000'], /invalid number of seconds "4000"/],
  ];
  for (const [commandLine, message] of refusals) {
    it(`refuse "${commandLine.join(' ')}"`, () => {
      assert.throws(() => parseOptions(commandLine), { code: 'USAGE_INVALID', message });
    });
  }
});
