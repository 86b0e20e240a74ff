import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import { parseConnectionString } from './connection-string.ts';

let home: string;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdfast-home-'));
});
after(() => rm(home, { recursive: true }));

const parse = (text: string, variables: Record<string, string> = {}) =>
  parseConnectionString(text, { variables, homeDirectory: home, userName: 'anna' });

describe('connection string', () => {
  it('is read as a URI with every part', () => {
    const target = parse(
      'postgresql://us%40er:pa%2Fss@db.example.com:6432/shop%20db?sslmode=require&connect_timeout=7',
    );
    assert.equal(target.host, 'db.example.com');
    assert.equal(target.port, 6432);
    assert.equal(target.user, 'us@er');
    assert.equal(target.revealPassword(), 'pa/ss');
    assert.equal(target.database, 'shop db');
    assert.equal(target.parts.sslMode, 'require');
    assert.equal(target.parts.connectTimeoutMs, 7000);
    assert.equal(target.isLocal, false);
  });

  it('takes libpq defaults for what is left open', () => {
    const target = parse('postgres://db');
    assert.equal(target.port, 5432);
    assert.equal(target.user, 'anna');
    assert.equal(target.database, 'anna');
    assert.equal(target.parts.sslMode, 'prefer');
    assert.equal(target.revealPassword(), undefined);
    assert.equal(parse('postgres://bea@db').database, 'bea');
  });

  it('takes the environment for what is left open, and the string before the environment', () => {
    const variables = {
      PGHOST: 'env',
      PGPORT: '1234',
      PGUSER: 'eva',
      PGPASSWORD: 'x',
      PGDATABASE: 'd',
      PGSSLMODE: 'disable',
    };
    const target = parse('postgresql://', variables);
    assert.deepEqual([target.host, target.port, target.user, target.database], ['env', 1234, 'eva', 'd']);
    assert.equal(target.revealPassword(), 'x');
    assert.equal(target.parts.sslMode, 'disable');
    assert.equal(parse('host=here port=5', variables).host, 'here');
    assert.equal(parse('', variables).host, 'env');
  });

  it('names a Unix socket by a query parameter, a percent-encoded host or the key "host"', () => {
    for (const text of [
      'postgresql:///db?host=/run/pg&port=6',
      'postgresql://%2Frun%2Fpg:6/db',
      "host=/run/pg port='6'",
    ]) {
      const target = parse(text);
      assert.ok(target.isLocal, text);
      assert.equal(target.socketPath, '/run/pg/.s.PGSQL.6');
    }
  });

  it('takes an IPv6 address in brackets', () => {
    const target = parse('postgresql://u@[2001:db8::1]:7/d');
    assert.equal(target.host, '2001:db8::1');
    assert.equal(target.port, 7);
    assert.equal(parse(String(target)).host, target.host);
  });

  it('reads key=value words with quotes and escapes', () => {
    const target = parse(String.raw`host = 'h' user=a\ b password='it\'s \\ x' dbname='' application_name='two words'`);
    assert.equal(target.host, 'h');
    assert.equal(target.user, 'a b');
    assert.equal(target.revealPassword(), String.raw`it's \ x`);
    assert.equal(target.database, 'a b');
    assert.equal(target.parts.applicationName, 'two words');
  });

  it('reads every user, password and database that are percent-encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((value) => !value.includes('\0'));
    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent);
        const target = parse(`postgresql://${u}:${p}@h/${d}`);
        assert.deepEqual([target.user, target.revealPassword(), target.database], [user, password, database]);
      }),
    );
  });

  it('accepts parameters that mean nothing here, and refuses those that nobody knows', () => {
    assert.equal(parse('postgresql://h/d?schema=public&connection_limit=5&keepalives=1').host, 'h');
    assert.throws(() => parse('postgresql://h/d?sslmod=require'), {
      detail: 'The parameter "sslmod" is not recognized.',
    });
  });

  it('refuses several hosts by name', () => {
    assert.throws(() => parse('postgresql://a:1,b:2/d'), { code: 'PG_CONNECTION_STRING_UNSUPPORTED' });
    assert.throws(() => parse('host=a,b'), { code: 'PG_CONNECTION_STRING_UNSUPPORTED' });
    assert.throws(() => parse('mysql://u:secret@h/d'), { detail: /"postgresql:\/\/", found "mysql:\/\/"/ });
  });

  it('refuses what it cannot read', () => {
    const wrong = [
      'postgresql://h:0/d',
      'postgresql://h:70000/d',
      'postgresql://h:x/d',
      'postgresql://%zz@h/d',
      'postgresql://h/d?x',
      'postgresql://h/%00',
      'host',
      "host='h",
      'host=h sslmode=maybe',
      'connect_timeout=soon',
    ];
    for (const text of wrong) assert.throws(() => parse(text), { code: 'PG_CONNECTION_STRING_INVALID' }, text);
  });

  it('answers any text with a target or its own error', () => {
    const pieces = fc.constantFrom(
      'postgres://',
      'a',
      ':',
      '@',
      '/',
      '?',
      '&',
      '=',
      "'",
      '\\',
      ' ',
      '[',
      ']',
      '%',
      ',',
      'host',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (words) => {
        try {
          parse(words.join(''));
        } catch (error) {
          assert.ok(error instanceof HoldfastError, String(error));
        }
      }),
    );
  });
});

describe('the password', () => {
  it('appears in no text that is made of a target', () => {
    const target = parse('postgresql://u:geheim@h/d');
    const texts = [
      String(target),
      JSON.stringify({ target }),
      inspect(target, { depth: 9, showHidden: true }),
      target.place,
    ];
    for (const text of [...texts, JSON.stringify(target.parts)]) assert.ok(!text.includes('geheim'), text);
    assert.equal(target.with({ port: 1 }).revealPassword(), 'geheim');
  });

  it('appears in no error, wherever a raw character cuts it', () => {
    const secret = 'geheim';
    const texts = [
      ...['@', '/', '?', '#', '%', ':', ' ', "'", '&', '=', '?a=', '/1?'].map(
        (c) => `postgresql://u:x${c}${secret}@h/d`,
      ),
      ...['@', '/', '?'].map((c) => `postgresql://u:12${c}${secret}@h/d?x=y`),
      `host=h password=a ${secret}=b`,
      `host=h password='a' '${secret}`,
    ];
    for (const text of texts) {
      try {
        const target = parse(text);
        assert.ok(!`${target} ${target.place}`.includes(secret), text);
      } catch (error) {
        assert.ok(error instanceof HoldfastError);
        const shown = JSON.stringify([error.message, error.detail, error.hints, error.stack]);
        assert.ok(!shown.includes(secret), `${text}: ${shown}`);
      }
    }
  });

  it('is found in the password file that is private', async () => {
    const path = join(home, 'passwords');
    await writeFile(path, 'h:*:d:u:from-file\n', { mode: 0o600 });
    const text = `host=h user=u dbname=d passfile=${path}`;
    assert.equal(parse(text).revealPassword(), 'from-file');
    assert.equal(parse('host=h user=u dbname=d', { PGPASSFILE: path }).revealPassword(), 'from-file');
    assert.equal(parse(`${text} password=given`).revealPassword(), 'given');
    await writeFile(join(home, '.pgpass'), 'localhost:5432:*:u:local\n', { mode: 0o600 });
    assert.equal(parse('host=/tmp user=u').revealPassword(), 'local');
    assert.equal(parse('host=localhost user=u port=5433').revealPassword(), undefined);
  });

  it('is not taken from a password file that others may read', async () => {
    const path = join(home, 'open');
    await writeFile(path, 'h:*:*:u:from-file\n', { mode: 0o644 });
    assert.equal(parse(`host=h user=u passfile=${path}`).revealPassword(), undefined);
  });
});
