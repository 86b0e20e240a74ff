import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { makeScratchDirectory } from '../../../../test/support/scratch.ts';
import { BLOCK_BYTES, pageChecksum } from '../../../postgres/page/index.ts';
import { OpenedFile } from './opened-file.ts';
import { PageInspector } from './page-inspector.ts';
import type { FileToRead, FilledSlab, ReadFinding } from './read-messages.ts';
import { SlabFiller } from './slab-filler.ts';

const SLAB_BYTES = 1 << 20;
const SLABS = 3;
const memory = new WebAssembly.Memory({ initial: SLABS * 16, maximum: SLABS * 16, shared: true });
const START = 1000n;

let scratch: string;
before(async () => {
  scratch = await makeScratchDirectory('slab-filler');
});
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Doing {
  checkedBefore?: bigint;
  flushedLsn?: bigint;
  piecesMax?: number;
  /** What happens right after a file was opened, when its size is known and nothing is read. */
  opened?: (file: FileToRead) => void;
  /** What happens while the reader waits before it reads a wrong page again. */
  pause?: (ms: number) => void;
}

/** Reads files as a reader does and puts together what it says of them. */
function readAll(files: readonly FileToRead[], doing: Doing = {}) {
  const { checkedBefore = 0n, flushedLsn = (1n << 64n) - 1n, piecesMax = 1024, opened, pause = () => {} } = doing;
  const data = { memory, slabBytes: SLAB_BYTES, piecesMax, checkedBefore, blocksPerSegment: 131_072 };
  const openFile = (file: FileToRead) => {
    const found = OpenedFile.open(file);
    opened?.(file);
    return found;
  };
  const filler = new SlabFiller(data, { inspector: new PageInspector(data, pause), openFile });
  const contents = new Map<number, Buffer[] | 'vanished'>();
  const findings: ReadFinding[] = [];
  const pieces: { file: number; at: number; length: number; last: boolean }[] = [];
  const take = (filled: FilledSlab) => {
    findings.push(...filled.findings);
    for (const step of filled.steps) {
      if (step.kind === 'vanished') contents.set(step.file, 'vanished');
      else if (step.kind === 'opened') contents.set(step.file, []);
      else {
        pieces.push(step);
        const bytes = Buffer.from(memory.buffer, filled.slab * SLAB_BYTES + step.at, step.length);
        (contents.get(step.file) as Buffer[]).push(Buffer.from(bytes));
      }
    }
    filler.addSlab({ slab: filled.slab, at: filled.slab * SLAB_BYTES, flushedLsn });
  };
  // What an earlier file left in a slab must not pass for bytes of the next one.
  Buffer.from(memory.buffer).fill(0xee);
  for (let slab = 0; slab < SLABS; slab++) filler.addSlab({ slab, at: slab * SLAB_BYTES, flushedLsn });
  filler.addFiles(files);
  for (let filled = filler.fill(); filled !== null; filled = filler.fill()) take(filled);
  assert.ok(filler.isDone);
  const rest = filler.flush();
  if (rest !== null) take(rest);
  const contentOf = (file: number) => {
    const parts = contents.get(file);
    return parts === undefined || parts === 'vanished' ? (parts ?? null) : Buffer.concat(parts);
  };
  return { contentOf, findings, pieces };
}

let made = 0;
function makeFile(content: Uint8Array, segment: number | null = null): FileToRead {
  const from = join(scratch, String(made));
  writeFileSync(from, content);
  return { number: made++, from, segment };
}

/** A used page with a checksum for its block; LSN below `START` unless told otherwise. */
function makePage(block: number, lsn = 5n): Buffer {
  const page = randomBytes(BLOCK_BYTES);
  page.writeUInt32LE(Number(lsn >> 32n), 0);
  page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4);
  page.writeUInt16LE(4096, 14);
  page.writeUInt16LE(pageChecksum(page, block), 8);
  return page;
}

function overwrite(file: FileToRead, bytes: Uint8Array, position: number): void {
  writeSync(openSync(file.from, 'r+'), bytes, 0, bytes.length, position);
}

describe('reading files into slabs', () => {
  it('gives every byte once, in pieces that begin at whole slabs of their file, pages at whole pages', () => {
    const size = fc.oneof(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: SLAB_BYTES - 9, max: 2.5 * SLAB_BYTES }),
    );
    const isPaged = fc.boolean();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(size, isPaged), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        (given, piecesMax) => {
          const wanted = given.map(([bytes, paged]) => {
            const content = randomBytes(paged ? Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES : bytes);
            return { content, paged, file: makeFile(content, paged ? 0 : null) };
          });
          const { contentOf, pieces } = readAll(
            wanted.map(({ file }) => file),
            { piecesMax },
          );
          for (const { file, content, paged } of wanted) {
            assert.ok((contentOf(file.number) as Buffer).equals(content));
            const own = pieces.filter((piece) => piece.file === file.number);
            assert.deepEqual(
              own.map(({ last }) => last),
              own.map((_, i) => i === own.length - 1),
            );
            assert.ok(own.slice(0, -1).every(({ length }) => length === SLAB_BYTES));
            if (paged) assert.ok(own.every(({ at }) => at % BLOCK_BYTES === 0));
            rmSync(file.from);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('leaves out a file that vanished, and cuts one that grows at the size that it had', () => {
    const [gone, growing] = [makeFile(randomBytes(10)), randomBytes(SLAB_BYTES + 100)];
    rmSync(gone.from);
    const file = makeFile(growing);
    const { contentOf } = readAll([gone, file], {
      opened: ({ from }) => from === file.from && appendFileSync(from, 'more'),
    });
    assert.equal(contentOf(gone.number), 'vanished');
    assert.ok((contentOf(file.number) as Buffer).equals(growing));
  });

  it('fills a file that shrinks with zeros up to the size that it had', () => {
    const content = randomBytes(3 * SLAB_BYTES);
    for (const left of [0, 100, SLAB_BYTES, SLAB_BYTES + 8192]) {
      const file = makeFile(content, 0);
      const { contentOf, findings } = readAll([file], { opened: ({ from }) => truncateSync(from, left) });
      const expected = Buffer.concat([content.subarray(0, left), Buffer.alloc(content.length - left)]);
      assert.ok((contentOf(file.number) as Buffer).equals(expected), `cut to ${left}`);
      assert.deepEqual(findings, []);
    }
  });

  it('does not take an error of the system for a file that vanished', () => {
    const directory = { number: 0, from: scratch, segment: null };
    assert.throws(() => readAll([directory]), { code: 'BACKUP_DIRECT_READ_FAILED', detail: /EISDIR/ });
  });
});

describe('looking at pages while they are read', () => {
  const pages = (segment: number, lsn?: bigint) =>
    Array.from({ length: 130 }, (_, i) => makePage(segment * 131_072 + i, lsn));

  it('names each page whose checksum is wrong and stays so, by its block in the file', () => {
    const content = pages(2);
    for (const bad of [0, 7, 128]) content[bad]![100]! ^= 1;
    const { findings, contentOf } = readAll([makeFile(Buffer.concat(content), 2)], { checkedBefore: START });
    assert.deepEqual(
      findings.map(({ kind, block }) => [kind, block]),
      [
        ['checksum', 0],
        ['checksum', 7],
        ['checksum', 128],
      ],
    );
    assert.ok((contentOf(made - 1) as Buffer).equals(Buffer.concat(content)), 'it is kept as it is');
  });

  it('says nothing of pages of a cluster without checksums, of new ones, and of those that WAL has whole', () => {
    const content = pages(0);
    content[3]![100]! ^= 1;
    assert.deepEqual(readAll([makeFile(Buffer.concat(content), 0)], { checkedBefore: 0n }).findings, []);
    const newer = pages(0, START);
    newer[3]![100]! ^= 1;
    newer[4] = Buffer.alloc(BLOCK_BYTES);
    assert.deepEqual(readAll([makeFile(Buffer.concat(newer), 0)], { checkedBefore: START }).findings, []);
  });

  it('keeps the page as it was read last when somebody was writing it', () => {
    const content = pages(0);
    const right = content[9]!;
    content[9] = Buffer.concat([right.subarray(0, 4096), Buffer.alloc(4096, 1)]);
    const file = makeFile(Buffer.concat(content), 0);
    const { findings, contentOf } = readAll([file], {
      checkedBefore: START,
      pause: (ms) => ms === 10 && overwrite(file, right.subarray(4096), 9 * BLOCK_BYTES + 4096),
    });
    assert.deepEqual(findings, []);
    assert.ok((contentOf(file.number) as Buffer).subarray(9 * BLOCK_BYTES, 10 * BLOCK_BYTES).equals(right));
  });

  it('accepts a page that is still changing when it was read again for the last time', () => {
    const content = pages(0);
    content[2]![100]! ^= 1;
    const file = makeFile(Buffer.concat(content), 0);
    const pause = () => overwrite(file, randomBytes(64), 2 * BLOCK_BYTES + 200);
    assert.deepEqual(readAll([file], { checkedBefore: START, pause }).findings, []);
  });

  it('does not wait for each page of a file in which many are wrong', () => {
    const content = pages(0);
    for (const page of content) page[100]! ^= 1;
    let waited = 0;
    const pause = (ms: number) => {
      waited += ms;
    };
    const { findings } = readAll([makeFile(Buffer.concat(content), 0)], { checkedBefore: START, pause });
    assert.equal(findings.length, content.length);
    assert.ok(waited < 1000, `${waited} ms`);
  });

  it('names pages that are newer than the WAL was', () => {
    const content = pages(0);
    content[5] = makePage(5, 7000n);
    content[6] = makePage(6, 6000n);
    const { findings } = readAll([makeFile(Buffer.concat(content), 0)], { checkedBefore: START, flushedLsn: 6000n });
    assert.deepEqual(findings, [{ kind: 'ahead', file: made - 1, block: 5, lsn: 7000n }]);
  });
});
