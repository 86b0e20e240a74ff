import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { OVERWRITE_CONTINUATION, WalBuilder } from '../../../test/support/wal-builder.ts';
import { WalScanner, type WalScannerOptions } from './scanner.ts';
import type { WalStop } from './wal-stop.ts';

const HEAP = { resourceManager: 10, info: 0 };
const SWITCH = { resourceManager: 0, info: 0x40 };

interface Found {
  lsn: bigint;
  endLsn: bigint;
  previousLsn: bigint;
  xid: number;
  totalLength: number;
  mainData: string;
}

/** Scans pieces of WAL and copies what was found. */
function scan(pieces: Iterable<Uint8Array>, options: Partial<WalScannerOptions> & { startLsn: bigint }) {
  const scanner = new WalScanner({ segmentSize: 1024 * 1024, ...options });
  const found: Found[] = [];
  for (const piece of pieces) {
    scanner.push(piece);
    for (let record = scanner.next(); record !== null; record = scanner.next()) {
      const { lsn, endLsn, previousLsn, xid, totalLength } = record;
      assert.equal(record.bytes.length, totalLength);
      assert.equal(scanner.validEndLsn, endLsn);
      found.push({ lsn, endLsn, previousLsn, xid, totalLength, mainData: record.mainData().toString('latin1') });
    }
    if (scanner.stopped !== null) break;
  }
  return { found, stop: scanner.end() };
}

/** What a scan of everything that was built must find. */
function expected(builder: WalBuilder): Found[] {
  return builder.records.map((record, index) => ({
    lsn: record.lsn,
    endLsn: record.endLsn,
    previousLsn: builder.records[index - 1]?.lsn ?? 0n,
    xid: record.xid ?? 0,
    totalLength: record.totalLength,
    mainData: Buffer.from(record.mainData ?? []).toString('latin1'),
  }));
}

function* inPieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Lengths around everything that matters: headers, pages, and records over several pages. */
const lengths = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 8000, max: 8300 }), fc.integer({ min: 0, max: 40_000 })),
  { minLength: 1, maxLength: 25 },
);

function build(sizes: readonly number[], options: ConstructorParameters<typeof WalBuilder>[0] = {}): WalBuilder {
  const builder = new WalBuilder(options);
  for (const [index, size] of sizes.entries())
    builder.append({ ...HEAP, xid: index, mainData: Buffer.alloc(size, index) });
  return builder;
}

const FEW = [10, 100, 8100, 5, 30_000, 77, 0, 3];

describe('WAL scanner', () => {
  it('finds every record, for every split of the input', () => {
    fc.assert(
      fc.property(
        lengths,
        fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 8 }),
        (sizes, cuts) => {
          const builder = build(sizes);
          const bytes = builder.bytes();
          const pieces: Buffer[] = [];
          for (let at = 0, n = 0; at < bytes.length; n++) {
            const end = at + cuts[n % cuts.length]!;
            pieces.push(bytes.subarray(at, end));
            at = end;
          }
          const { found, stop } = scan(pieces, builder);
          assert.deepEqual(found, expected(builder));
          assert.equal(stop.reason, 'no-record');
          assert.equal(stop.validEndLsn, builder.records.at(-1)!.endLsn);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds every record byte by byte', () => {
    const builder = build(FEW);
    const { found } = scan(inPieces(builder.bytes(builder.offset), 1), builder);
    assert.deepEqual(found, expected(builder));
  });

  it('goes over segments, whose first page has the longer header', () => {
    const builder = build(Array.from({ length: 90 }, (_, index) => 30_000 + index));
    assert.ok(builder.offset > 2 * builder.segmentSize);
    for (const size of [4096, 100_003, builder.segmentSize]) {
      const { found, stop } = scan(inPieces(builder.bytes(), size), builder);
      assert.deepEqual(found, expected(builder));
      assert.equal(stop.reason, 'no-record');
    }
  });

  it('passes over the rest of a record that began before the start', () => {
    const builder = build([100, 20_000, 5, 3_000_000, 9, 10]);
    const all = expected(builder);
    const bytes = builder.bytes();
    for (const page of [1, 2, 3, 100, 128, 300]) {
      const startLsn = builder.startLsn + BigInt(page * 8192);
      const { found } = scan([bytes.subarray(page * 8192)], { startLsn });
      const first = all.findIndex((record) => record.lsn >= startLsn);
      assert.deepEqual(found, all.slice(first), `page ${page}`);
    }
  });

  it('begins at a record in the middle of a page, and nowhere between', () => {
    const builder = build(FEW);
    const all = expected(builder);
    const start = all[2]!.lsn;
    const { found } = scan([builder.bytes().subarray(Number(start - builder.startLsn))], { startLsn: start });
    assert.deepEqual(found, all.slice(2));
    for (const startLsn of [start + 1n, builder.startLsn + 8n]) {
      assert.throws(() => new WalScanner({ segmentSize: 1 << 20, startLsn }), { code: 'PG_WAL_START_INVALID' });
    }
  });

  it('stops behind the last whole record when the input is cut anywhere', () => {
    const builder = build(FEW);
    const all = expected(builder);
    const bytes = builder.bytes(builder.offset);
    for (let length = 0; length <= bytes.length; length += 13) {
      const { found, stop } = scan([bytes.subarray(0, length)], builder);
      const limit = builder.startLsn + BigInt(length);
      const whole = all.filter(
        (record) =>
          Number(record.endLsn) - (record.totalLength % 8 === 0 ? 0 : 8 - (record.totalLength % 8)) <= Number(limit),
      );
      assert.deepEqual(found, whole, `cut at ${length}`);
      assert.ok(['input-ended', 'incomplete-record'].includes(stop.reason), stop.reason);
      assert.equal(stop.validEndLsn, whole.at(-1)?.endLsn ?? builder.startLsn);
    }
  });

  it('finds nothing but what was written, whatever byte is changed', () => {
    const builder = build(FEW);
    const all = expected(builder);
    const bytes = builder.bytes(builder.offset);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = damaged[at]! ^ change;
        const { found, stop } = scan([damaged], { ...builder, timeline: 1, systemId: '7' });
        assert.deepEqual(found, all.slice(0, found.length));
        if (found.length === all.length) return;
        // What lies before the damage is found.
        const damage = builder.startLsn + BigInt(at);
        assert.ok(found.length >= all.filter((record) => record.endLsn <= damage).length - 1);
        assert.ok(stop.detail.endsWith('.'));
      }),
      { numRuns: 1000 },
    );
  });

  it('finds the same in pages full of short records as in single bytes, whatever bytes are changed', () => {
    const builder = build(Array.from({ length: 450 }, (_, index) => (index * 37) % 130));
    const bytes = builder.bytes(builder.offset);
    const changes = fc.array(
      fc.record({ at: fc.integer({ min: 0, max: bytes.length - 1 }), change: fc.integer({ min: 1, max: 255 }) }),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(changes, fc.integer({ min: 24, max: 20_000 }), (changed, size) => {
        const damaged = Buffer.from(bytes);
        for (const { at, change } of changed) damaged[at] = damaged[at]! ^ change;
        const options = { ...builder, timeline: 1, systemId: '7' };
        // A record of which only one byte is at hand is checked by itself.
        assert.deepEqual(scan(inPieces(damaged, size), options), scan(inPieces(damaged, 1), options));
      }),
      { numRuns: 60 },
    );
  });

  it('tells where a segment that was used before begins to hold old WAL', () => {
    const old = build([500, 8100, 300, 9000], { startLsn: 0n, segmentSize: 1 << 20 });
    const fresh = build([700, 60]);
    const mixed = old.bytes();
    fresh.bytes(fresh.offset).copy(mixed);
    const { found, stop } = scan([mixed], fresh);
    assert.deepEqual(found, expected(fresh));
    assert.ok(['invalid-record', 'wrong-checksum', 'no-record'].includes(stop.reason), stop.reason);
    const wholePages = old.bytes();
    fresh.skipToNextPage();
    fresh.bytes(fresh.offset).copy(wholePages);
    const second = scan([wholePages.subarray(0, 8192 * 2)], { startLsn: fresh.startLsn });
    assert.equal(second.found.length, 2);
  });

  it('passes over the rest of a segment behind a switch', () => {
    const builder = new WalBuilder();
    builder.append({ ...HEAP, mainData: Buffer.alloc(20) });
    builder.append(SWITCH);
    builder.append({ ...HEAP, mainData: Buffer.alloc(30) });
    for (const size of [1, 8192, 1 << 22]) {
      const { found } = scan(inPieces(builder.bytes(), size), builder);
      assert.deepEqual(found, expected(builder));
      assert.equal(found[1]!.endLsn, builder.startLsn + BigInt(builder.segmentSize));
      if (size === 1) break;
    }
  });

  it('refuses pages that are of another place, cluster, timeline, version or segment size', () => {
    const bytes = build(FEW).bytes();
    const { startLsn } = new WalBuilder();
    const reasonOf = (options: Partial<WalScannerOptions>, input = bytes): WalStop =>
      scan([input], { startLsn, ...options }).stop;
    assert.match(reasonOf({ systemId: '8' }).detail, /cluster 8, found that of 7/);
    assert.match(reasonOf({ startLsn: 0n }).detail, /page of 0\/0, found that of 1\/0/);
    assert.match(reasonOf({ segmentSize: 1 << 21 }).detail, /segments of 2097152 bytes, found 1048576/);
    assert.match(reasonOf({}, build(FEW, { magic: 0xd10a }).bytes()).detail, /magic number/);
    assert.match(reasonOf({ timeline: 1 }, build(FEW, { timeline: 2 }).bytes()).detail, /timeline 0 to 1, found 2/);
    for (const options of [{ systemId: '8' }, { startLsn: 0n }]) assert.equal(reasonOf(options).reason, 'invalid-page');
    const back = new WalBuilder({ timeline: 3 });
    back.append({ ...HEAP, mainData: Buffer.alloc(100) });
    back.timeline = 2;
    back.append({ ...HEAP, mainData: Buffer.alloc(9000) });
    assert.match(reasonOf({}, back.bytes()).detail, /timeline 3 to any later, found 2/);
  });

  it('knows the version by the magic number of the pages', () => {
    for (const [magic, major] of [
      [0xd10d, 14],
      [0xd110, 15],
      [0xd113, 16],
      [0xd116, 17],
      [0xd118, 18],
    ] as const) {
      const builder = build([10], { magic });
      const scanner = new WalScanner({ segmentSize: 1 << 20, startLsn: builder.startLsn });
      scanner.push(builder.bytes());
      const record = scanner.next();
      assert.deepEqual([record?.major, record?.timeline], [major, 1]);
    }
  });

  it('misses the rest of a record that the next page does not go on with', () => {
    const builder = build([100]);
    const start = builder.append({ ...HEAP, mainData: Buffer.alloc(20_000) });
    const bytes = builder.bytes();
    bytes.writeUInt32LE(5, 8192 + 16);
    const { found, stop } = scan([bytes], builder);
    assert.equal(found.length, 1);
    assert.deepEqual([stop.reason, stop.lsn], ['missing-continuation', start.lsn]);
  });

  it('goes on behind a record that a crash broke off, once the note on it fits', () => {
    const make = (noted: (brokenLsn: bigint) => bigint) => {
      const builder = build([100, 50]);
      const last = builder.records.at(-1)!;
      const lsn = last.endLsn;
      builder.putRecordBytes(Buffer.alloc(0));
      const broken = builder.encode({ ...HEAP, mainData: Buffer.alloc(20_000) }, lsn);
      while (builder.lsn % 8n !== 0n) builder.putRecordBytes(Buffer.alloc(1));
      builder.putRecordBytes(broken, 8192 - (builder.offset % 8192));
      builder.putPageHeader(OVERWRITE_CONTINUATION, 0);
      builder.setPrevious(last.lsn);
      const note = Buffer.alloc(16);
      note.writeBigUInt64LE(noted(lsn), 0);
      builder.append({ resourceManager: 0, info: 0xd0, mainData: note });
      builder.append({ ...HEAP, mainData: Buffer.alloc(7) });
      return builder;
    };
    const good = make((lsn) => lsn);
    for (const size of [1, 100, 1 << 20]) {
      const { found } = scan(inPieces(good.bytes(3 * 8192), size), good);
      assert.deepEqual(found, expected(good));
    }
    const wrong = make((lsn) => lsn + 8n);
    const { found, stop } = scan([wrong.bytes()], wrong);
    assert.equal(found.length, 2);
    assert.equal(stop.reason, 'invalid-record');
    // Whoever begins with the page behind the break sees nothing of it.
    const later = scan([good.bytes().subarray(8192)], { startLsn: good.startLsn + 8192n });
    assert.deepEqual(later.found, expected(good).slice(2));
  });

  it('answers random bytes, in the place of pages or of records, by stopping', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), fc.boolean(), (noise, behind) => {
        const builder = build([20, 30]);
        const pieces = behind ? [builder.bytes(builder.offset + 3), ...noise] : noise;
        const { found, stop } = scan(pieces, builder);
        assert.deepEqual(found, expected(builder).slice(0, found.length));
        assert.ok(stop.reason.length > 0);
      }),
    );
  });

  it('does not take memory for a record that is only announced', () => {
    const builder = build([20]);
    const huge = Buffer.alloc(24);
    huge.writeUInt32LE(1000 * 1024 * 1024, 0);
    huge.writeBigUInt64LE(builder.records[0]!.lsn, 8);
    builder.putRecordBytes(Buffer.alloc(8 - (builder.offset % 8)));
    builder.putRecordBytes(huge);
    const before = process.memoryUsage().arrayBuffers;
    const { found, stop } = scan([builder.bytes(8192)], builder);
    assert.equal(found.length, 1);
    assert.equal(stop.reason, 'incomplete-record');
    assert.ok(process.memoryUsage().arrayBuffers - before < 50 * 1024 * 1024);
  });
});
