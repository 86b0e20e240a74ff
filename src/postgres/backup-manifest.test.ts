import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../lib/index.ts';
import { BackupManifestReader, type ManifestFile, parseBackupManifest } from './backup-manifest.ts';
import { formatBackupManifest, formatManifestCrc } from './format-backup-manifest.ts';

/** Ends a manifest as the server does: with the checksum of all lines before. */
function seal(body: string): Buffer {
  const sum = createHash('sha256').update(body).digest('hex');
  return Buffer.from(`${body}"Manifest-Checksum": "${sum}"}\n`);
}

const version2 = seal(`{ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 18446744073709551615,
"Files": [
{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-11-23 05:17:51 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "64440205" },
{ "Path": "base/5/\\u00fc \\"x\\"", "Size": 0, "Last-Modified": "2026-11-23 05:17:51 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "00000000" },
{ "Encoded-Path": "c3bc", "Size": 1, "Last-Modified": "2026-11-23 05:17:51 GMT" },
{ "Encoded-Path": "ff2f61", "Size": 1, "Last-Modified": "2026-11-23 05:17:51 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 2, "Start-LSN": "0/2000028", "End-LSN": "16/B374D848" }
],
`);

describe('backup manifest', () => {
  it('written by us reads the same', () => {
    const path = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.isWellFormed());
    const file = fc.record({
      path,
      size: fc.maxSafeNat(),
      crc32c: fc.option(fc.nat({ max: 2 ** 32 - 1 }), { nil: undefined }),
    });
    const files = fc.array(file, { maxLength: 20 });
    fc.assert(
      fc.property(files, fc.boolean(), (drawn, isVersion2) => {
        const walRanges = [{ timeline: 3, startLsn: 0x2000028n, endLsn: 0x16b374d848n }];
        const outline = isVersion2
          ? ({ version: 2, systemId: '18446744073709551615', walRanges } as const)
          : ({ version: 1, systemId: null, walRanges } as const);
        const listed = drawn.map(({ crc32c, ...rest }) => (crc32c === undefined ? rest : { ...rest, crc32c }));
        const read = parseBackupManifest(Buffer.concat([...formatBackupManifest({ ...outline, files: listed })]));
        const { files: found, ...rest } = read;
        assert.deepEqual(rest, outline);
        assert.deepEqual(
          found.map(({ path: name, size, checksum }) => [name, size, checksum]),
          drawn.map(({ path: name, size, crc32c }) => [
            name,
            size,
            crc32c === undefined ? null : formatManifestCrc(crc32c),
          ]),
        );
      }),
    );
  });

  it('gives files, WAL ranges and the system identifier with all its digits', () => {
    const manifest = parseBackupManifest(version2);
    assert.equal(manifest.version, 2);
    assert.equal(manifest.systemId, '18446744073709551615');
    assert.deepEqual(manifest.walRanges, [{ timeline: 2, startLsn: 0x2000028n, endLsn: 0x16b374d848n }]);
    assert.deepEqual(
      manifest.files.map(({ path, isPathText, size, checksum }) => [path, isPathText, size, checksum]),
      [
        ['PG_VERSION', true, 3, '64440205'],
        ['base/5/ü "x"', true, 0, '00000000'],
        ['ü', true, 1, null],
        ['\xff/a', false, 1, null],
      ],
    );
  });

  it('is read in its first version, too', () => {
    const manifest = parseBackupManifest(
      seal('{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n],\n"WAL-Ranges": [\n],\n'),
    );
    assert.deepEqual(manifest, { version: 1, systemId: null, files: [], walRanges: [] });
  });

  it('says the same however it arrives in pieces', () => {
    const whole = parseBackupManifest(version2);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: version2.length }), { maxLength: 12 }), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), version2.length];
        const files: ManifestFile[] = [];
        const reader = new BackupManifestReader((file) => files.push(file));
        for (let i = 1; i < places.length; i++) reader.push(version2.subarray(places[i - 1], places[i]));
        assert.deepEqual({ ...reader.end(), files }, whole);
      }),
    );
    const files: ManifestFile[] = [];
    const reader = new BackupManifestReader((file) => files.push(file));
    for (const byte of version2) reader.push(Buffer.of(byte));
    assert.deepEqual({ ...reader.end(), files }, whole);
  });

  it('is refused when its list of files could be read in two ways', () => {
    const head = '{ "PostgreSQL-Backup-Manifest-Version": 1,\n';
    const file = '{ "Path": "a", "Size": 1 }';
    const lists = [
      `"Files": [ 1${file} ],\n`,
      `"Files": [ ${file} null ],\n`,
      `"Files": [ null ],\n`,
      `"Files": [ [ ${file} ] ],\n`,
      `"Files": [ ${file} ],\n"Files": [],\n`,
      `"Files": [ ${file} ],\n"\\u0046iles": [ ${file}, ${file} ],\n`,
      `"\\u0046iles": [ ${file} ],\n`,
    ];
    for (const list of lists) {
      const code = 'PG_MANIFEST_INVALID';
      assert.throws(() => parseBackupManifest(seal(`${head}${list}"WAL-Ranges": [],\n`)), { code }, list);
    }
  });

  it('fills no memory with a file or a line that no server would write', () => {
    const long = 'a'.repeat(100_000);
    const bodies = [
      `{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [\n{ "Path": "${long}", "Size": 1 }\n],\n"WAL-Ranges": [],\n`,
      `{ "PostgreSQL-Backup-Manifest-Version": 1,\n"Files": [],\n"WAL-Ranges": [],\n"Other": "${long.repeat(20)}",\n`,
    ];
    for (const body of bodies) {
      const reader = new BackupManifestReader(() => assert.fail('no file is handed out'));
      const sealed = seal(body);
      for (let at = 0; at < sealed.length; at += 8192) reader.push(sealed.subarray(at, at + 8192));
      assert.throws(() => reader.end(), { code: 'PG_MANIFEST_INVALID' });
    }
  });

  it('is refused when any byte of it was changed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: version2.length - 2 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(version2);
        damaged[at] = damaged[at]! ^ change;
        // An upper-case digit of the checksum is the same checksum.
        fc.pre(damaged.toString('latin1').toLowerCase() !== version2.toString('latin1').toLowerCase());
        assert.throws(() => parseBackupManifest(damaged), HoldfastError);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused when it was cut anywhere', () => {
    for (let length = 0; length < version2.length - 1; length++) {
      assert.throws(() => parseBackupManifest(version2.subarray(0, length)), HoldfastError, String(length));
    }
  });

  it('names what is wrong with one that is sealed', () => {
    const cases: [string, string][] = [
      ['PG_MANIFEST_VERSION_UNSUPPORTED', '{ "PostgreSQL-Backup-Manifest-Version": 3,\n'],
      ['PG_MANIFEST_VERSION_UNSUPPORTED', '{ \n'],
      ['PG_MANIFEST_INVALID', '[ \n'],
      ['PG_MANIFEST_INVALID', '{ "PostgreSQL-Backup-Manifest-Version": 2, "Files": [],\n'],
      ['PG_MANIFEST_INVALID', '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": 3, "WAL-Ranges": [],\n'],
      ['PG_MANIFEST_INVALID', '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [{}], "WAL-Ranges": [],\n'],
      [
        'PG_MANIFEST_INVALID',
        '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [{"Path":"a","Size":-1}], "WAL-Ranges": [],\n',
      ],
      [
        'PG_MANIFEST_INVALID',
        '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [{"Encoded-Path":"abc","Size":1}], "WAL-Ranges": [],\n',
      ],
      ['PG_MANIFEST_INVALID', '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [], "WAL-Ranges": [{}],\n'],
      [
        'PG_LSN_INVALID',
        '{ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [], "WAL-Ranges": [{"Timeline":1,"Start-LSN":"x","End-LSN":"0/0"}],\n',
      ],
    ];
    for (const [code, body] of cases) assert.throws(() => parseBackupManifest(seal(body)), { code }, body);
    assert.throws(() => parseBackupManifest(Buffer.from('{}\n')), { code: 'PG_MANIFEST_INVALID' });
  });

  it('answers random bytes and random JSON with its own error or a manifest', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array().map((noise) => Buffer.from(noise)),
          fc.json().map(seal),
        ),
        (bytes) => {
          try {
            parseBackupManifest(bytes);
          } catch (error) {
            assert.ok(error instanceof HoldfastError, String(error));
          }
        },
      ),
    );
  });
});
