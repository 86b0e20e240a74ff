import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, ftruncateSync, openSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { mountSmallDisk, whyNoSmallDisk } from '../../../test/support/small-disk.ts';
import { ExtentWriter } from './extent-writer.ts';
import type { Destination } from './extract-messages.ts';

const CHUNK = 1 << 20;
const FILE_BYTES = 4 << 20;

function makeFile(path: string, bytes: number): string {
  const descriptor = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY);
  ftruncateSync(descriptor, bytes);
  closeSync(descriptor);
  return path;
}

async function placeAll(writer: ExtentWriter, parts: readonly { raw: Buffer; destinations: Destination[] }[]) {
  const underWay: Promise<void>[] = [];
  for (const { raw, destinations } of parts) {
    await writer.place(raw, destinations, underWay);
    // Whoever called may use the memory for something else at once.
    raw.fill(0xee);
  }
  await Promise.all(underWay);
  writer.close();
}

/** Of what is written twice the order is open, as for writes of two workers: so each extent has a place of its own. */
const extents = fc.array(
  fc.record({
    unit: fc.constantFrom(1, 512, 4096, 8192, 65_536),
    skip: fc.nat({ max: 20 }),
    units: fc.integer({ min: 1, max: 140 }),
    chunkUnits: fc.nat({ max: 16 }),
  }),
  { maxLength: 24 },
);

describe('the writer of extents', () => {
  it('writes every byte to its place and no other, whatever is aligned', async (test) => {
    const directory = await scratchFor(test, 'extents');
    let files = 0;
    await fc.assert(
      fc.asyncProperty(extents, fc.boolean(), async (drawn, isDirect) => {
        const path = makeFile(join(directory, `file-${++files}`), FILE_BYTES);
        const expected = Buffer.alloc(FILE_BYTES);
        const parts: { raw: Buffer; destinations: Destination[] }[] = [];
        let end = 0;
        for (const { unit, skip, units, chunkUnits } of drawn) {
          const fileOffset = Math.ceil(end / unit) * unit + skip * unit;
          const chunkOffset = chunkUnits * unit >= CHUNK ? 0 : chunkUnits * unit;
          const length = Math.min(units * unit, CHUNK - chunkOffset, FILE_BYTES - fileOffset);
          if (length <= 0) continue;
          const destination = { path, fileOffset, chunkOffset, length };
          const raw = randomBytes(CHUNK);
          raw.copy(expected, fileOffset, chunkOffset, chunkOffset + length);
          parts.push({ raw, destinations: [destination] });
          end = fileOffset + length;
        }
        await placeAll(new ExtentWriter({ isDirect }), parts);
        assert.ok((await readFile(path)).equals(expected));
      }),
      { numRuns: 40 },
    );
  });

  it('writes one chunk to many places of many files', async (test) => {
    const directory = await scratchFor(test, 'extents');
    const raw = randomBytes(CHUNK);
    const expected = Buffer.from(raw);
    const paths = Array.from({ length: 200 }, (_, i) => makeFile(join(directory, `file-${i}`), CHUNK + 100));
    const destinations = paths.map((path) => ({ path, fileOffset: 0, chunkOffset: 0, length: CHUNK - 100 }));
    await placeAll(new ExtentWriter(), [{ raw, destinations }]);
    for (const path of paths) {
      const found = await readFile(path);
      assert.ok(found.subarray(0, CHUNK - 100).equals(expected.subarray(0, CHUNK - 100)));
      assert.ok(found.subarray(CHUNK - 100).every((byte) => byte === 0));
    }
  });

  it('gives the error of a full disk', { skip: whyNoSmallDisk() }, async (test) => {
    const directory = await scratchFor(test, 'extents');
    await using disk = await mountSmallDisk(join(directory, 'disk'), 3 << 20);
    const path = makeFile(join(disk.path, 'file'), 8 * CHUNK);
    const parts = Array.from({ length: 8 }, (_, i) => ({
      raw: randomBytes(CHUNK),
      destinations: [{ path, fileOffset: i * CHUNK, chunkOffset: 0, length: CHUNK }],
    }));
    await assert.rejects(placeAll(new ExtentWriter(), parts), { code: 'ENOSPC' });
  });

  it('never follows a link that somebody put in the place of a file', async (test) => {
    const directory = await scratchFor(test, 'extents');
    const other = makeFile(join(directory, 'other'), CHUNK);
    await symlink(other, join(directory, 'link'));
    const destinations = [{ path: join(directory, 'link'), fileOffset: 0, chunkOffset: 0, length: CHUNK }];
    await assert.rejects(placeAll(new ExtentWriter(), [{ raw: randomBytes(CHUNK), destinations }]), { code: 'ELOOP' });
  });
});
