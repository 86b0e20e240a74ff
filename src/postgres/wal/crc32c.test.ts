import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import { CHAIN_MARK, crc32c, isChainOfCrcs } from './crc32c.ts';

/** Messages with their CRC behind them, as `isChainOfCrcs` takes them. */
function chain(messages: readonly Buffer[]): Buffer {
  return Buffer.concat(
    messages.map((message) => {
      const linked = Buffer.concat([message, Buffer.alloc(4)]);
      linked.writeUInt32LE(crc32c(message, 0, message.length), message.length);
      linked.writeInt32LE(linked.readInt32LE(0) ^ CHAIN_MARK, 0);
      return linked;
    }),
  );
}

describe('CRC-32C', () => {
  it('is that of the standard, whatever the length and wherever it is cut', () => {
    assert.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283);
    const bytes = Buffer.alloc(2000, 'The quick brown fox');
    for (const length of [0, 1, 7, 8, 255, 256, 2000]) {
      const whole = crc32c(bytes, 0, length);
      for (const cut of [0, 3, length >> 1]) {
        if (cut <= length)
          assert.equal(crc32c(bytes, cut, length, crc32c(bytes, 0, cut)), whole, `${length} at ${cut}`);
      }
    }
  });

  it('finds a chain of messages right, and wrong when any byte of one of them or of its CRC is changed', () => {
    const random = seededRandom(7);
    const messages = [20, 61, 300, 20, 24, 1000].map((length) => random.bytes(length));
    const bytes = chain(messages);
    assert.ok(isChainOfCrcs(bytes));
    assert.ok(isChainOfCrcs(Buffer.alloc(0)));
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      assert.ok(!isChainOfCrcs(changed), `byte ${at}`);
    }
    // A message that is missing as a whole is not found by this: that the right ones follow each other is told by their links.
    assert.ok(isChainOfCrcs(chain(messages.toSpliced(2, 1))));
  });
});
