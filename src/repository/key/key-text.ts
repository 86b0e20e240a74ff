import { createHash } from 'node:crypto';
import { assert } from '../../lib/index.ts';
import { KEY_BYTES } from './ring/index.ts';

/** Crockford's alphabet: no I, L, O and U, so that what is read from paper is typed right. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 52 characters hold 260 bits: the 256 of the key, and 4 of its checksum. */
const KEY_GROUPS = 13;
const GROUP_CHARACTERS = 4;
/** A fourteenth group, of 20 bits of the key's SHA-256, tells groups that were left out or mixed up with those of another key. */
const GROUPS = KEY_GROUPS + 1;
const GROUPS_A_LINE = 7;

/**
 * A key of 32 bytes as people type it: 14 groups of five characters in two lines, the last character of each group being its check.
 *
 * Shape: 52 characters of Crockford's base32 (the key, then the first 4 bits of its SHA-256) and 4 more (the next 20 bits of that), in groups of
 * four, each followed by the character of value (Σ value × weight + group number) mod 31, with weights 1, 2, 3, 4: any single character that is
 * wrong and any two neighbours that are swapped change it, but for the pair of characters whose values differ by 31 (0 and Z).
 */
export function encodeKeyText(key: Uint8Array): string[] {
  assert(key.length === KEY_BYTES, 'a key has 256 bits');
  const digits = toDigits(Buffer.concat([key, createHash('sha256').update(key).digest()]), GROUPS * GROUP_CHARACTERS);
  const groups = Array.from({ length: GROUPS }, (_, i) => {
    const group = digits.slice(i * GROUP_CHARACTERS, (i + 1) * GROUP_CHARACTERS);
    return [...group, checkOf(group, i)].map((value) => ALPHABET[value]).join('');
  });
  return [groups.slice(0, GROUPS_A_LINE).join('-'), groups.slice(GROUPS_A_LINE).join('-')];
}

/** Reverses `encodeKeyText`, or says in a sentence what was mistyped, without repeating it. Case, blanks, dashes and lines do not matter. */
export function decodeKeyText(text: string): { key: Uint8Array } | { problem: string } {
  const typed = clean(text);
  const expected = GROUPS * (GROUP_CHARACTERS + 1);
  const values = [...typed].map((character) => ALPHABET.indexOf(character));
  const stray = values.indexOf(-1);
  if (stray !== -1) return { problem: `Character ${stray + 1}, in ${nameGroup(stray)}, is none that a key has.` };
  for (let i = 0; (i + 1) * (GROUP_CHARACTERS + 1) <= values.length && i < GROUPS; i++) {
    const at = i * (GROUP_CHARACTERS + 1);
    const group = values.slice(at, at + GROUP_CHARACTERS);
    if (checkOf(group, i) !== values[at + GROUP_CHARACTERS]) {
      return {
        problem: `Expected the last character of each group to agree with it, found that of ${nameGroup(at)} does not.`,
      };
    }
  }
  if (typed.length !== expected) {
    return {
      problem: `Expected ${GROUPS} groups of ${GROUP_CHARACTERS + 1} characters, found ${typed.length} characters.`,
    };
  }
  const digits = values.filter((_, i) => i % (GROUP_CHARACTERS + 1) !== GROUP_CHARACTERS);
  const key = toBytes(digits).subarray(0, KEY_BYTES);
  const again = toDigits(Buffer.concat([key, createHash('sha256').update(key).digest()]), digits.length);
  if (!again.every((value, i) => value === digits[i])) {
    return { problem: 'Every group is right in itself, but together they are not one key.' };
  }
  return { key: Uint8Array.from(key) };
}

/** Whether a text was meant as such groups, so that it is told which of them is wrong rather than that it is no key at all. */
export function looksLikeKeyText(text: string): boolean {
  const { length } = clean(text);
  return length > 40 && length < 100 && /[\s-]/.test(text.trim()) && /^[0-9A-Z]+$/.test(clean(text));
}

/** What people write for one another: O for 0, I and L for 1. */
function clean(text: string): string {
  return text
    .toUpperCase()
    .replaceAll(/[\s\-–—]/g, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1');
}

/** `at`: the place of one of its characters, check characters counted. */
function nameGroup(at: number): string {
  const group = Math.floor(at / (GROUP_CHARACTERS + 1));
  return `group ${(group % GROUPS_A_LINE) + 1} of line ${Math.floor(group / GROUPS_A_LINE) + 1}`;
}

function checkOf(group: readonly number[], number: number): number {
  return group.reduce((sum, value, i) => sum + value * (i + 1), number) % 31;
}

function toDigits(bytes: Uint8Array, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    let value = 0;
    for (let bit = i * 5; bit < i * 5 + 5; bit++) value = value * 2 + ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1);
    return value;
  });
}

function toBytes(digits: readonly number[]): Buffer {
  const bytes = Buffer.alloc(Math.floor((digits.length * 5) / 8));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const digit = digits[Math.floor(bit / 5)]!;
    bytes[bit >> 3]! |= ((digit >> (4 - (bit % 5))) & 1) << (7 - (bit & 7));
  }
  return bytes;
}
