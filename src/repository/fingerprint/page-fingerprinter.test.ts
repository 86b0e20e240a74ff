import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fingerprintKeyBytes, PageFingerprinter } from './page-fingerprinter.ts';

const PAGE = 8192;
const MASK32 = 0xffff_ffffn;
const MASK64 = 0xffff_ffff_ffff_ffffn;

/** The fingerprint as the design states it, in slow and obvious arithmetic. */
function fingerprintPlainly(page: Buffer, key: Buffer): bigint {
  const word = (source: Buffer, at: number) => BigInt(source.readUInt32LE(at));
  const pass = (shift: number) => {
    let sum = 0n;
    for (let at = 0; at < PAGE; at += 32) {
      for (let lane = 0; lane < 16; lane += 4) {
        const left = (word(page, at + lane) + word(key, at + lane + shift)) & MASK32;
        const right = (word(page, at + 16 + lane) + word(key, at + 16 + lane + shift)) & MASK32;
        sum = (sum + left * right) & MASK64;
      }
    }
    return sum;
  };
  const [h1, h2] = [pass(0), pass(16)];
  const half = (which: number) => {
    const m = (index: number) => key.readBigUInt64LE(PAGE + 16 + (which * 5 + index) * 8);
    const sum = m(0) + m(1) * (h1 & MASK32) + m(2) * (h1 >> 32n) + m(3) * (h2 & MASK32) + m(4) * (h2 >> 32n);
    return (sum & MASK64) >> 32n;
  };
  return half(0) | (half(1) << 32n);
}

function makeFingerprinter(fingerprintKey: Buffer) {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
  const fingerprinter = new PageFingerprinter({ memory, keyAt: 0, fingerprintKey });
  const pagesAt = 16_384;
  const outAt = pagesAt + 8 * PAGE;
  return (pages: Buffer[]): bigint[] => {
    pages.forEach((page, i) => {
      new Uint8Array(memory.buffer, pagesAt + i * PAGE, PAGE).set(page);
    });
    fingerprinter.fingerprint(pagesAt, pages.length, outAt);
    const out = Buffer.from(memory.buffer, outAt, pages.length * 8);
    return pages.map((_, i) => out.readBigUInt64LE(i * 8));
  };
}

test('gives what the plain arithmetic gives, for random, empty and full pages', () => {
  const key = randomBytes(32);
  const run = makeFingerprinter(key);
  const pages = [randomBytes(PAGE), Buffer.alloc(PAGE), Buffer.alloc(PAGE, 0xff), randomBytes(PAGE), randomBytes(PAGE)];
  const expanded = fingerprintKeyBytes(key);
  assert.deepEqual(
    run(pages),
    pages.map((page) => fingerprintPlainly(page, expanded)),
  );
});

test('changes when any single bit of the page changes', () => {
  const run = makeFingerprinter(randomBytes(32));
  const page = randomBytes(PAGE);
  const [before] = run([page]);
  for (let bit = 0; bit < PAGE * 8; bit += 61) {
    const changed = Buffer.from(page);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.notEqual(run([changed])[0], before, `bit ${bit}`);
  }
});

test('changes when two parts of a page are exchanged', () => {
  const run = makeFingerprinter(randomBytes(32));
  const page = randomBytes(PAGE);
  const exchanged = Buffer.concat([page.subarray(4096), page.subarray(0, 4096)]);
  assert.notEqual(run([exchanged])[0], run([page])[0]);
});

test('differs between repositories', () => {
  const page = randomBytes(PAGE);
  assert.notEqual(makeFingerprinter(randomBytes(32))([page])[0], makeFingerprinter(randomBytes(32))([page])[0]);
});

test('writes nothing when asked for no pages', () => {
  assert.deepEqual(makeFingerprinter(randomBytes(32))([]), []);
});
