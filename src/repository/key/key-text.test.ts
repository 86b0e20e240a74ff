import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { readSecret } from './credential.ts';
import { decodeKeyText, encodeKeyText } from './key-text.ts';

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('a key on paper', () => {
  it('is two lines of seven groups, and comes back from them however they are typed', () => {
    fc.assert(
      fc.property(keys, fc.boolean(), fc.constantFrom('-', ' ', ' - ', '', '\r\n'), (key, small, between) => {
        const lines = encodeKeyText(key);
        for (const line of lines) assert.match(line, /^([0-9A-HJKMNP-TV-Z]{5}-){6}[0-9A-HJKMNP-TV-Z]{5}$/);
        const text = lines.join('\n').replaceAll('-', between).replaceAll('0', 'O').replaceAll('1', 'l');
        assert.deepEqual(decodeKeyText(small ? text.toLowerCase() : text), { key: Uint8Array.from(key) });
      }),
    );
  });

  it('says which group is wrong when a character is, or two neighbours are exchanged', () => {
    const text = encodeKeyText(Uint8Array.from({ length: 32 }, (_, i) => i * 7)).join('-');
    const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    for (let at = 0; at < text.length; at++) {
      if (text[at] === '-') continue;
      const group = Math.floor(at / 6);
      const named = new RegExp(`group ${(group % 7) + 1} of line ${Math.floor(group / 7) + 1}`);
      for (const wrong of alphabet) {
        // 0 and Z differ by 31, which the check of a group cannot see; the checksum of the whole does.
        const differs = Math.abs(alphabet.indexOf(wrong) - alphabet.indexOf(text[at]!));
        if (differs === 0) continue;
        const decoded = decodeKeyText(text.slice(0, at) + wrong + text.slice(at + 1));
        assert.ok('problem' in decoded, `${wrong} at ${at}`);
        if (differs !== 31) assert.match(decoded.problem, named);
      }
      const exchanged = text.slice(0, at) + text[at + 1] + text[at] + text.slice(at + 2);
      if (at % 6 < 4 && text[at] !== text[at + 1])
        assert.ok('problem' in decodeKeyText(exchanged), `exchanged at ${at}`);
    }
  });

  it('is refused with groups missing, mixed up with those of another key, or with what no key has', () => {
    const [first, second] = [randomBytes(32), randomBytes(32)].map((key) => encodeKeyText(key).join('-').split('-'));
    const problems = [
      first!.slice(1),
      first!.slice(0, 13),
      [...first!, 'ABCDE'],
      [...first!.slice(0, 7), ...second!.slice(7)],
      [...first!.slice(0, 13), 'UUUUU'],
    ].map((groups) => decodeKeyText(groups.join('-')));
    for (const decoded of problems) assert.ok('problem' in decoded);
  });

  it('serves as a key file, and its mistakes are told without repeating it', async (test) => {
    const path = join(await scratchFor(test, 'keys'), 'typed.key');
    const key = randomBytes(32);
    const lines = encodeKeyText(key);
    await writeFile(path, `${lines.join('\n')}\n`);
    assert.deepEqual(await readSecret({ kind: 'key-file', path }), { kind: 'key-file', bytes: Uint8Array.from(key) });
    const wrong = lines[0]!.startsWith('1') ? `2${lines[0]!.slice(1)}` : `1${lines[0]!.slice(1)}`;
    await writeFile(path, `${wrong}\n${lines[1]}\n`);
    await assert.rejects(readSecret({ kind: 'key-file', path }), (error: { code?: string; detail?: string }) => {
      assert.equal(error.code, 'KEY_FILE_INVALID');
      assert.match(error.detail!, /that of group 1 of line 1 does not/);
      return !JSON.stringify(error).includes(lines[1]!);
    });
  });
});
