import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { listenForInterruption } from './interruption.ts';

describe('an interruption', () => {
  it('asks the command to end at the first signal, and ends the process at the second', async (test) => {
    const exit = test.mock.method(process, 'exit', () => undefined as never);
    const clock = new ManualClock();
    const interruption = listenForInterruption(clock);
    test.after(() => interruption.stopListening());
    process.emit('SIGINT', 'SIGINT');
    assert.equal((interruption.signal.reason as { code: string }).code, 'INTERRUPTED');
    process.emit('SIGTERM', 'SIGTERM');
    assert.equal(exit.mock.callCount(), 0, 'the same press of a key, handed on by a parent');
    await clock.advance(1000);
    process.emit('SIGINT', 'SIGINT');
    assert.deepEqual(exit.mock.calls[0]?.arguments, [130]);
  });
});
