import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import { MessageParser } from './parser.ts';
import { MessageWriter } from './writer.ts';

const MESSAGE_BYTES_MAX = 1 << 20;

const messages = fc.array(
  fc.record(
    { type: fc.constantFrom('d', 'D', 'C', 'Z', '1'), payload: fc.uint8Array({ maxLength: 300 }) },
    { noNullPrototype: true },
  ),
  { maxLength: 12 },
);

type Message = { type: string; payload: Uint8Array };

function encode(list: readonly Message[]): Buffer {
  return Buffer.concat(list.map(({ type, payload }) => new MessageWriter(type).bytes(payload).finish()));
}

function collector(onMessage?: () => void | Promise<void>) {
  const seen: Message[] = [];
  const parser = new MessageParser((type, payload) => {
    seen.push({ type: String.fromCharCode(type), payload: new Uint8Array(payload) });
    return onMessage?.();
  }, MESSAGE_BYTES_MAX);
  return { seen, parser };
}

/** Cuts bytes at the given places (any numbers). */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

describe('message parser', () => {
  it('gives the same messages for every split of the input', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.nat(), { maxLength: 20 }), (list, cuts) => {
        const { seen, parser } = collector();
        for (const piece of split(encode(list), cuts)) parser.push(piece);
        assert.deepEqual(seen, list);
        assert.equal(parser.isInsideMessage, false);
      }),
    );
  });

  it('gives the same messages byte by byte', () => {
    fc.assert(
      fc.property(messages, (list) => {
        const { seen, parser } = collector();
        for (const byte of encode(list)) parser.push(Buffer.of(byte));
        assert.deepEqual(seen, list);
      }),
    );
  });

  it('hands a whole message on as a view of what was pushed', () => {
    const bytes = encode([{ type: 'd', payload: Buffer.from('abc') }]);
    let view: Buffer | undefined;
    new MessageParser((_, payload) => {
      view = payload;
    }, MESSAGE_BYTES_MAX).push(bytes);
    assert.equal(view?.buffer, bytes.buffer);
  });

  it('waits for the sink before it hands on the next message, and keeps the order', async () => {
    const releases: (() => void)[] = [];
    const { seen, parser } = collector(() => new Promise((release) => releases.push(release)));
    const list = ['a', 'b', 'c'].map((text) => ({ type: 'd', payload: new Uint8Array(Buffer.from(text)) }));
    let isDone = false;
    const pushed = Promise.resolve(parser.push(encode(list))).then(() => {
      isDone = true;
    });
    for (let count = 1; count <= 3; count++) {
      assert.equal(seen.length, count);
      assert.equal(isDone, false);
      releases[count - 1]?.();
      await new Promise(setImmediate);
    }
    await pushed;
    assert.deepEqual(seen, list);
  });

  it('hands on nothing after it was stopped, also behind a waiting sink', async () => {
    let release = () => {};
    const { seen, parser } = collector(() => new Promise((resolve) => (release = resolve)));
    const pushed = parser.push(encode([1, 2].map((n) => ({ type: 'd', payload: Uint8Array.of(n) }))));
    parser.stop();
    release();
    await pushed;
    parser.push(encode([{ type: 'd', payload: Uint8Array.of(3) }]));
    assert.equal(seen.length, 1);
  });

  it('refuses impossible types and lengths', () => {
    const wrong: [number, number][] = [
      [0, 4],
      [0x21, 4],
      [0x64, 3],
      [0x64, 0],
      [0x64, -1],
      [0x64, MESSAGE_BYTES_MAX + 1],
    ];
    for (const [type, length] of wrong) {
      const header = Buffer.alloc(5);
      header[0] = type;
      header.writeInt32BE(length, 1);
      assert.throws(() => collector().parser.push(header), { code: 'PG_PROTOCOL_VIOLATION' }, `${type} ${length}`);
      const bytewise = collector().parser;
      assert.throws(() => [...header].forEach((byte) => void bytewise.push(Buffer.of(byte))), {
        code: 'PG_PROTOCOL_VIOLATION',
      });
    }
  });

  it('answers random bytes with messages or its own error', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (pieces) => {
        const { parser } = collector();
        try {
          for (const piece of pieces) parser.push(Buffer.from(piece));
        } catch (error) {
          assert.ok(error instanceof HoldfastError);
        }
      }),
    );
  });

  it('does not take memory for bytes that are only announced', () => {
    const { parser } = collector();
    const before = process.memoryUsage().arrayBuffers;
    const parsers = Array.from({ length: 50 }, () => {
      const one = new MessageParser(() => {}, 2 ** 30);
      const header = Buffer.alloc(6, 0x64);
      header.writeInt32BE(2 ** 30, 1);
      one.push(header);
      return one;
    });
    assert.ok(parsers.every((one) => one.isInsideMessage) && !parser.isInsideMessage);
    assert.ok(process.memoryUsage().arrayBuffers - before < 50 * 1024 * 1024);
  });
});
