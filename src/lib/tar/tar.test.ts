import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { HoldfastError } from '../errors.ts';
import { parseTarHeader, TAR_BLOCK_BYTES, type TarEntry } from './header.ts';
import { TarReader } from './reader.ts';

interface ReadEntry extends TarEntry {
  content: Buffer;
}

/** Reads pieces of an archive; `slow` lets the sink answer with promises. */
async function read(pieces: Iterable<Uint8Array>, slow = false): Promise<ReadEntry[]> {
  const entries: ReadEntry[] = [];
  let chunks: Buffer[] = [];
  let isOpen = false;
  const answer = () => (slow ? new Promise<void>(setImmediate) : undefined);
  const reader = new TarReader({
    onEntry: (entry) => {
      assert.equal(isOpen, false);
      isOpen = true;
      chunks = [];
      entries.push({ ...entry, content: Buffer.alloc(0) });
      return answer();
    },
    onBytes: (view) => {
      assert.ok(isOpen && view.length > 0);
      chunks.push(Buffer.from(view));
      return answer();
    },
    onEntryEnd: () => {
      assert.ok(isOpen);
      isOpen = false;
      entries.at(-1)!.content = Buffer.concat(chunks);
      return answer();
    },
  });
  for (const piece of pieces) await reader.push(Buffer.from(piece));
  reader.end();
  return entries;
}

function* inPieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** A header block with everything right but for what `change` does to it. */
function makeHeader(change: (block: Buffer) => void = () => {}, fixChecksum = true): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write('base/1/2', 0);
  block.write('0000600\0', 100);
  block.write('00000000012\0', 124);
  block.write('14740000000\0', 136);
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  change(block);
  if (!fixChecksum) return block;
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

describe('tar archives of GNU tar', () => {
  let directory: string;
  let archive: Buffer;
  const long = `${'d'.repeat(60)}/${'e'.repeat(60)}/${'f'.repeat(90)}`;
  const files = new Map<string, Buffer>([
    ['empty', Buffer.alloc(0)],
    ['one', Buffer.from('x')],
    ['block', Buffer.alloc(512, 1)],
    ['more', Buffer.alloc(1025, 2)],
    ['base/5/16384', Buffer.alloc(3 * 8192, 3)],
    [long, Buffer.from('long name')],
    ['ümläut', Buffer.from('name in UTF-8')],
  ]);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-tar-'));
    const root = join(directory, 'root');
    for (const [path, content] of files) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    }
    await chmod(join(root, 'one'), 0o640);
    await utimes(join(root, 'one'), 1_700_000_000, 1_700_000_000);
    await symlink('/somewhere/else', join(root, 'link'));
    await promisify(execFile)('tar', [
      '--format=ustar',
      '-cf',
      join(directory, 'a.tar'),
      '-C',
      root,
      'base',
      'link',
      ...files.keys(),
    ]);
    archive = await readFile(join(directory, 'a.tar'));
  });
  after(() => rm(directory, { recursive: true }));

  it('are read with every name, mode, time, link and byte', async () => {
    const entries = await read([archive]);
    for (const [path, content] of files) {
      const found = entries.find((entry) => entry.path === path && entry.type === 'file');
      assert.deepEqual(found?.content, content, path);
      assert.equal(found?.size, content.length);
    }
    const one = entries.find((entry) => entry.path === 'one');
    assert.deepEqual([one?.mode, one?.mtime], [0o640, 1_700_000_000]);
    const link = entries.find((entry) => entry.path === 'link');
    assert.deepEqual([link?.type, link?.linkTarget, link?.size], ['symbolic-link', '/somewhere/else', 0]);
    assert.equal(entries.find((entry) => entry.path === 'base')?.type, 'directory');
  });

  it('are the same for every split and with a slow sink', async () => {
    const whole = await read([archive]);
    for (const size of [1, 7, 511, 512, 513, 8192])
      assert.deepEqual(await read(inPieces(archive, size)), whole, `${size}`);
    assert.deepEqual(await read(inPieces(archive, 700), true), whole);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), async (sizes) => {
        const pieces: Buffer[] = [];
        for (let at = 0, n = 0; at < archive.length; n++) {
          const end = at + sizes[n % sizes.length]!;
          pieces.push(archive.subarray(at, end));
          at = end;
        }
        assert.deepEqual(await read(pieces), whole);
      }),
      { numRuns: 25 },
    );
  });

  it('may end without their blocks of zeros, but not inside an entry', async () => {
    const small = makeHeader();
    const content = Buffer.alloc(512, 9);
    assert.equal((await read([small, content])).length, 1);
    for (const cut of [1, 511, 513, 520, 522, 523, 1023]) {
      const bytes = Buffer.concat([small, content]).subarray(0, cut);
      await assert.rejects(read([bytes]), { code: 'TAR_TRUNCATED' }, String(cut));
    }
  });

  it('give the size of a file beyond eight gigabytes, written in base 256', async () => {
    const sparse = join(directory, 'sparse');
    await writeFile(sparse, '');
    await truncate(sparse, 9 * 2 ** 30);
    // GNU tar writes base 256 in its own format; the header is all that is looked at.
    const tar = execFile('tar', ['--format=gnu', '-cf', '-', '-C', directory, 'sparse'], {
      encoding: 'buffer',
      maxBuffer: Number.POSITIVE_INFINITY,
    });
    const header = await new Promise<Buffer>((resolve) => tar.stdout!.once('data', resolve));
    tar.kill('SIGKILL');
    assert.notEqual(header[124]! & 0x80, 0);
    header.write('ustar\x0000', 257, 'latin1');
    header.fill(' ', 148, 156);
    const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    assert.equal(parseTarHeader(header.subarray(0, 512))?.size, 9 * 2 ** 30);
  });
});

describe('tar headers', () => {
  it('that are damaged are refused', () => {
    assert.equal(parseTarHeader(makeHeader())?.size, 10);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const block = makeHeader();
        block[at] = block[at]! ^ change;
        try {
          // Only the filler of the checksum's own field may differ and be read.
          const entry = parseTarHeader(block);
          assert.ok(at >= 148 && at < 156);
          assert.equal(entry?.path, 'base/1/2');
        } catch (error) {
          assert.ok(error instanceof HoldfastError, String(error));
        }
      }),
    );
  });

  it('of devices, of extensions and of paths that lead out are refused by name', () => {
    const cases: [string, (block: Buffer) => void][] = [
      ['TAR_ENTRY_UNSUPPORTED', (block) => block.write('3', 156)],
      ['TAR_ENTRY_UNSUPPORTED', (block) => block.write('L', 156)],
      ['TAR_ENTRY_UNSUPPORTED', (block) => block.write('x', 156)],
      ['TAR_PATH_UNSAFE', (block) => block.write('/etc/passwd', 0)],
      ['TAR_PATH_UNSAFE', (block) => block.write('a/../../b', 0)],
      ['TAR_PATH_UNSAFE', (block) => block.write('..\0', 0)],
      ['TAR_PATH_UNSAFE', (block) => block.fill(0, 0, 100)],
      ['TAR_HEADER_INVALID', (block) => block.write('gnu', 257)],
      ['TAR_HEADER_INVALID', (block) => block.write('0000000008 \0', 124)],
      ['TAR_HEADER_INVALID', (block) => block.fill(0xff, 124, 136)],
      ['TAR_HEADER_INVALID', (block) => block.fill(0xbf, 124, 136)],
    ];
    for (const [code, change] of cases) {
      assert.throws(() => parseTarHeader(makeHeader(change)), { code }, change.toString());
    }
    assert.throws(() => parseTarHeader(makeHeader(() => {}, false)), { code: 'TAR_HEADER_INVALID' });
  });

  it('may be followed only by zeros once the archive has ended', async () => {
    const zeros = Buffer.alloc(512);
    assert.deepEqual(await read([zeros, zeros, zeros]), []);
    await assert.rejects(read([zeros, makeHeader()]), { code: 'TAR_TRAILING_BYTES' });
  });

  it('made of random bytes give a result or their own error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 5 }), async (pieces) => {
        try {
          await read(pieces);
        } catch (error) {
          assert.ok(error instanceof HoldfastError, String(error));
        }
      }),
    );
  });
});
