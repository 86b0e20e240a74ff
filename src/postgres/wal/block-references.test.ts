import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { visitBlocks } from './block-references.ts';

interface MadeBlock {
  readonly relation: readonly [number, number, number];
  readonly fork: number;
  readonly block: number;
  readonly data: number;
  readonly image: { readonly bytes: number; readonly flags: number } | null;
}

const IMAGE = 0x10;
const SAME_RELATION = 0x80;
const HOLE = 1;
const COMPRESSED_14 = 2;
const COMPRESSED_15 = 8;

/** A record as the server lays it out, with only what matters here. */
function record(blocks: readonly MadeBlock[], major: number, main: number): Buffer {
  const head: number[] = [];
  const u16 = (value: number) => head.push(value & 255, value >> 8);
  const u32 = (value: number) => head.push(...new Uint8Array(Uint32Array.of(value).buffer));
  let data = 0;
  let before: string | null = null;
  for (const [id, { relation, fork, block, data: bytes, image }] of blocks.entries()) {
    const isSame = before === relation.join();
    before = relation.join();
    head.push(id, fork | (image === null ? 0 : IMAGE) | (isSame ? SAME_RELATION : 0));
    u16(bytes);
    data += bytes;
    if (image !== null) {
      u16(image.bytes);
      u16(100);
      head.push(image.flags);
      const compressed = major === 14 ? COMPRESSED_14 : COMPRESSED_15;
      if ((image.flags & HOLE) !== 0 && (image.flags & compressed) !== 0) u16(4000);
      data += image.bytes;
    }
    if (!isSame) for (const oid of relation) u32(oid);
    u32(block);
  }
  if (main > 0) head.push(255, main);
  const bytes = Buffer.concat([Buffer.alloc(24), Buffer.from(head), Buffer.alloc(data + main, 3)]);
  bytes.writeUInt32LE(bytes.length, 0);
  return bytes;
}

function visited(bytes: Buffer, major: number, to = bytes.length): { told: number[][]; isAll: boolean } {
  const told: number[][] = [];
  const visitor = { visitBlock: (...block: number[]) => void told.push(block) };
  const padded = Buffer.concat([Buffer.alloc(5, 9), bytes]);
  return { told, isAll: visitBlocks(padded, { from: 5, to: 5 + to, major }, visitor) };
}

const oid = fc.integer({ min: 1, max: 0xffffffff });
const madeBlock = fc.record({
  relation: fc.oneof(fc.constant([1663, 5, 16384] as const), fc.tuple(oid, oid, oid)),
  fork: fc.integer({ min: 0, max: 3 }),
  block: fc.integer({ min: 0, max: 0xfffffffe }),
  data: fc.integer({ min: 0, max: 300 }),
  image: fc.option(
    fc.record({
      bytes: fc.integer({ min: 1, max: 300 }),
      flags: fc.constantFrom(0, HOLE, HOLE | COMPRESSED_14, HOLE | COMPRESSED_15, COMPRESSED_14),
    }),
  ),
});

describe('block references', () => {
  const blocks = fc.array(madeBlock, { maxLength: 33 });
  const major = fc.constantFrom(14, 18);

  it('are told as the record names them, with relations that are named once', () => {
    fc.assert(
      fc.property(blocks, major, fc.integer({ min: 0, max: 255 }), (made, major, main) => {
        const expected = made.map(({ relation, fork, block }) => [...relation, fork, block]);
        assert.deepEqual(visited(record(made, major, main), major), { told: expected, isAll: true });
      }),
    );
  });

  it('are told of a record that is cut off only as far as it goes, and never as all', () => {
    fc.assert(
      fc.property(blocks, major, fc.nat(), (made, major, at) => {
        const bytes = record(made, major, 9);
        const headers = bytes.length - 9 - made.reduce((sum, { data, image }) => sum + data + (image?.bytes ?? 0), 0);
        const to = at % (headers - 2);
        const { told, isAll } = visited(bytes, major, to);
        assert.equal(isAll, false);
        assert.deepEqual(told, visited(bytes, major).told.slice(0, told.length));
      }),
    );
  });

  it('are refused where they run past the record, or belong to no relation', () => {
    const bytes = record([{ relation: [1, 2, 3], fork: 0, block: 7, data: 0, image: null }], 18, 0);
    const short = Buffer.from(bytes.subarray(0, bytes.length - 2));
    short.writeUInt32LE(short.length, 0);
    assert.throws(() => visited(short, 18), { code: 'PG_WAL_RECORD_INVALID', detail: /run past its end/ });
    const nameless = Buffer.from(bytes);
    nameless[25] = SAME_RELATION;
    assert.throws(() => visited(nameless, 18), { code: 'PG_WAL_RECORD_INVALID', detail: /names no relation/ });
  });
});
