import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { crc32c } from '@node-rs/crc32';
import fc from 'fast-check';
import { HoldfastError } from '../lib/index.ts';
import { parseControlFile, readControlFile } from './control-file.ts';

/** A control file of the given layout with the few values that tests look at; real ones are read in test/e2e. */
function makeControlFile(version: 1300 | 1700 | 1800, change: (file: Buffer) => void = () => {}): Buffer {
  const file = Buffer.alloc(8192);
  file.writeBigUInt64LE(7711231828742795376n, 0);
  file.writeUInt32LE(version, 8);
  file.writeUInt32LE(202506291, 12);
  file.writeUInt32LE(6, 16);
  file.writeBigInt64LE(1_795_411_071n, 24);
  file.writeBigUInt64LE(0x174c9f8n, 32);
  file.writeBigUInt64LE(0x174c9a0n, 40);
  file.writeUInt32LE(3, 48);
  file.writeUInt32LE(1, 172);
  file.writeUInt32LE(100, 180);
  file.writeUInt32LE(8192, 216);
  file.writeUInt32LE(1 << 24, 228);
  change(file);
  const end = version === 1800 ? 292 : 288;
  file.writeUInt32LE(crc32c(file.subarray(0, end)), end);
  return file;
}

describe('pg_control', () => {
  it('is read in every layout', () => {
    for (const version of [1300, 1700, 1800] as const) {
      const control = parseControlFile(makeControlFile(version));
      assert.equal(control.systemId, '7711231828742795376');
      assert.equal(control.controlVersion, version);
      assert.equal(control.state, 'in-production');
      assert.equal(control.redoLsn, 0x174c9a0n);
      assert.equal(control.timeline, 3);
      assert.equal(control.walLevel, 'replica');
      assert.equal(control.maxConnections, 100);
      assert.equal(control.walSegmentSize, 1 << 24);
      assert.equal(control.writtenAt, 1_795_411_071_000_000n);
    }
  });

  it('is refused when any byte that means something was changed', () => {
    for (const [version, end] of [
      [1300, 292],
      [1700, 292],
      [1800, 296],
    ] as const) {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: end - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
          const damaged = makeControlFile(version);
          damaged[at] = damaged[at]! ^ change;
          assert.throws(() => parseControlFile(damaged), HoldfastError);
        }),
      );
    }
  });

  it('is refused when it is short, of another layout or with an impossible value', () => {
    assert.throws(() => parseControlFile(Buffer.alloc(295)), { code: 'PG_CONTROL_FILE_INVALID' });
    assert.throws(() => parseControlFile(Buffer.alloc(8192)), { code: 'PG_CONTROL_FILE_UNSUPPORTED' });
    const impossible = makeControlFile(1800, (file) => file.writeUInt32LE(99, 16));
    assert.throws(() => parseControlFile(impossible), { code: 'PG_CONTROL_FILE_INVALID' });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 290, maxLength: 400 }), (noise) => {
        assert.throws(() => parseControlFile(noise), HoldfastError);
      }),
    );
  });

  it('that cannot be read, or stays broken, is told so', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-control-'));
    try {
      await assert.rejects(readControlFile(directory), { code: 'PG_CONTROL_FILE_UNREADABLE' });
      await mkdir(join(directory, 'global'));
      await writeFile(join(directory, 'global/pg_control'), makeControlFile(1800).fill(1, 100, 101));
      await assert.rejects(readControlFile(directory), { code: 'PG_CONTROL_FILE_INVALID' });
      await writeFile(join(directory, 'global/pg_control'), makeControlFile(1800));
      assert.equal((await readControlFile(directory)).timeline, 3);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
