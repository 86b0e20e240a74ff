import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConnectionTarget } from '../../../postgres/index.ts';
import { formatArchiveCommand } from './archive-command.ts';
import { formatSetting, parseSettings, readBlock, replaceBlock } from './managed-block.ts';
import { drawPassword, scramVerifier, writePassword } from './role-password.ts';

describe('our lines in a file of somebody else', () => {
  const line = fc.string({ unit: fc.constantFrom(..."abc ='#-\\".split('')), maxLength: 12 });
  const foreign = fc.array(line, { maxLength: 6 }).map((lines) => lines.join('\n'));
  const setting = fc.tuple(
    fc.stringMatching(/^[a-z_]{1,12}$/),
    fc.string({ unit: fc.constantFrom(...'aZ9 \\\'"%=#'.split('')), maxLength: 12 }),
  );
  const place = fc.constantFrom('top' as const, 'bottom' as const);

  it('are the same byte for byte however often they are written', () => {
    fc.assert(
      fc.property(foreign, fc.array(line, { minLength: 1, maxLength: 4 }), place, (text, own, where) => {
        const once = replaceBlock(text, own, where);
        assert.equal(replaceBlock(once, own, where), once);
        assert.deepEqual(readBlock(once), own);
      }),
    );
  });

  it('are replaced by others, and taken out, without touching what stands around them', () => {
    fc.assert(
      fc.property(
        foreign,
        fc.array(line, { minLength: 1 }),
        fc.array(line, { minLength: 1 }),
        place,
        (text, first, second, where) => {
          const written = replaceBlock(replaceBlock(text, first, where), second, where);
          assert.equal(written, replaceBlock(text, second, where));
          const around = replaceBlock(written, [], where);
          assert.equal(around.trimEnd(), text.trimEnd());
        },
      ),
    );
  });

  it('say what they were told to, whatever the value', () => {
    fc.assert(
      fc.property(fc.uniqueArray(setting, { selector: ([name]) => name, maxLength: 5 }), (settings) => {
        const lines = settings.map(([name, value]) => formatSetting(name, value));
        assert.deepEqual([...parseSettings(lines)], settings);
      }),
    );
  });

  it('go by the command that undoes them', () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-block-'));
    try {
      const path = join(directory, 'some file.conf');
      writeFileSync(path, replaceBlock('port = 5432\n', ["wal_level = 'replica'"], 'bottom'));
      const marks = ['begin of what', 'end of what'].map((mark) => `/^# --- ${mark} "holdfast database setup"/`);
      execFileSync('/bin/sh', ['-c', `sed -i '${marks.join(',')}d' '${path}'`]);
      assert.equal(readFileSync(path, 'utf8'), 'port = 5432\n');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('the archive_command', () => {
  it('comes to the shell as it was meant, whatever is in the paths', () => {
    const command = formatArchiveCommand({
      program: '/opt/hold fast/bin/holdfast',
      planFile: null,
      flags: { repository: "/back'ups/100%p", cluster: 'shop', copy: ['a=/a', 'b=s3://b/b?region=b'] },
    });
    // As the server does: %% is a percent sign, %p the path.
    const ran = command
      .replaceAll(/%[%p]/g, (found) => (found === '%%' ? '%' : 'pg_wal/0A'))
      .replace("'/opt/hold fast/bin/holdfast'", 'printf "%s\\n"');
    const words = execFileSync('/bin/sh', ['-c', ran], { encoding: 'utf8' }).trimEnd().split('\n');
    const flags = [
      '--repository',
      "/back'ups/100%p",
      '--cluster',
      'shop',
      '--copy',
      'a=/a',
      '--copy',
      'b=s3://b/b?region=b',
    ];
    assert.deepEqual(words, ['wal', 'push', 'pg_wal/0A', ...flags]);
  });
});

describe('the password of a role', () => {
  it('is given to the server in the form in which it keeps it', () => {
    // The salt of the example in RFC 7677, section 3, and the keys that follow from it.
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
    assert.equal(
      scramVerifier('pencil', salt),
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    );
  });

  it('is found again by who connects, beside the lines of others, in a file that is closed to them', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-pgpass-'));
    try {
      const path = join(directory, 'pgpass');
      writeFileSync(path, 'other:5432:*:ann:secret of ann\n', { mode: 0o644 });
      chmodSync(path, 0o644);
      const password = drawPassword();
      const line = { host: '/var/run/a:b', port: 5433, user: 'hold:fast' };
      await writePassword(path, line, 'first');
      await writePassword(path, line, password);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const target = new ConnectionTarget({
        ...{ servers: [{ host: line.host, port: line.port }], user: line.user, database: 'shop', passwordFile: path },
        ...{ sslMode: 'prefer', channelBinding: 'prefer', connectTimeoutMs: 1000 },
      });
      assert.equal(target.findPassword(true).password, password);
      assert.match(readFileSync(path, 'utf8'), /^other:5432:\*:ann:secret of ann$/m);
      assert.equal(readFileSync(path, 'utf8').split('\n').length, 3);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
