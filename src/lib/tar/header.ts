import { HoldfastError } from '../errors.ts';

/** The unit in which a tar archive is laid out. */
export const TAR_BLOCK_BYTES = 512;

export type TarEntryType = 'file' | 'directory' | 'symbolic-link' | 'hard-link';

/** One member of an archive. `path` is relative, without a slash at its end; `linkTarget` is empty unless the entry is a link. */
export interface TarEntry {
  readonly path: string;
  readonly type: TarEntryType;
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** Seconds since 1970 UTC. */
  readonly mtime: number;
  readonly linkTarget: string;
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '\0': 'file',
  '1': 'hard-link',
  '2': 'symbolic-link',
  '5': 'directory',
};

/** Where the fields lie in a header block. */
const field = {
  name: [0, 100],
  mode: [100, 108],
  size: [124, 136],
  mtime: [136, 148],
  checksum: [148, 156],
  type: [156, 157],
  linkName: [157, 257],
  magic: [257, 262],
  prefix: [345, 500],
} as const;

type Field = readonly [number, number];

/**
 * Reads one header block; null for the block of zeros that ends an archive.
 *
 * Shape:  fixed fields, numbers in octal text or, with the top bit of the first byte set, big-endian base 256; the path is
 *         prefix '/' name where there is a prefix.
 * Errors: TAR_HEADER_INVALID (checksum, magic, a field), TAR_ENTRY_UNSUPPORTED (a device, a long-name extension),
 *         TAR_PATH_UNSAFE (absolute, or with "..").
 * Source: POSIX.1-2008, pax, "ustar Interchange Format"; GNU tar manual, "Extensions", for base 256.
 */
export function parseTarHeader(block: Buffer): TarEntry | null {
  if (block[0] === 0 && isZero(block)) return null;
  checkChecksum(block);
  if (!readText(block, field.magic).startsWith('ustar')) throw invalid('magic', 'Expected "ustar".');
  const prefix = readText(block, field.prefix);
  const name = readText(block, field.name);
  const path = (prefix === '' ? name : `${prefix}/${name}`).replace(/\/+$/, '');
  const letter = String.fromCharCode(block[field.type[0]] as number);
  const type = TYPES[letter];
  if (type === undefined) {
    throw new HoldfastError('TAR_ENTRY_UNSUPPORTED', `cannot read the tar entry "${path}"`, {
      detail: `Expected a file, a directory or a link, found type "${letter}".`,
    });
  }
  checkPath(path);
  return {
    path,
    type,
    size: type === 'file' ? readNumber(block, field.size, 'size') : 0,
    mode: readNumber(block, field.mode, 'mode') & 0o7777,
    mtime: readNumber(block, field.mtime, 'mtime'),
    linkTarget: readText(block, field.linkName),
  };
}

/** True when every byte is zero. */
export function isZero(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/** The sum of all bytes of the header, its own field counted as spaces. */
function checkChecksum(block: Buffer): void {
  const stored = readNumber(block, field.checksum, 'checksum');
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    sum += at >= field.checksum[0] && at < field.checksum[1] ? 0x20 : (block[at] as number);
  }
  if (sum !== stored) throw invalid('checksum', `Expected ${stored} as the header says, found ${sum}.`);
}

function readText(block: Buffer, [from, to]: Field): string {
  const end = block.indexOf(0, from);
  return block.toString('utf8', from, end < 0 || end > to ? to : end);
}

function readNumber(block: Buffer, [from, to]: Field, name: string): number {
  const first = block[from] as number;
  const value = (first & 0x80) === 0 ? readOctal(block, from, to) : readBase256(block, from, to, first);
  if (!Number.isSafeInteger(value)) throw invalid(name, 'Expected a number that is not negative and below 2^53.');
  return value;
}

function readOctal(block: Buffer, from: number, to: number): number {
  const text = block.toString('latin1', from, to);
  const match = /^ *([0-7]*)[ \0]*/.exec(text);
  if (match?.[0].length !== text.length) return Number.NaN;
  return match[1] === '' ? 0 : Number.parseInt(match[1] as string, 8);
}

function readBase256(block: Buffer, from: number, to: number, first: number): number {
  // The second bit is the sign: a negative number is nothing that belongs here.
  if ((first & 0x40) !== 0) return Number.NaN;
  let value = first & 0x3f;
  for (let at = from + 1; at < to; at++) value = value * 256 + (block[at] as number);
  return value;
}

/** A path that leads out of the place where an archive is unpacked is never right. */
function checkPath(path: string): void {
  if (path !== '' && !path.startsWith('/') && !path.split('/').includes('..')) return;
  throw new HoldfastError('TAR_PATH_UNSAFE', `refused the tar entry "${path}"`, {
    detail: 'Expected a relative path without "..".',
  });
}

function invalid(name: string, detail: string): HoldfastError {
  return new HoldfastError('TAR_HEADER_INVALID', `invalid ${name} in a tar header`, { detail });
}
