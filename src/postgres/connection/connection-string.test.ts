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

/** Never with what this machine happens to have. */
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

  it('accepts what is meant for the application, and refuses what nobody knows', () => {
    assert.equal(parse('postgresql://h/d?schema=public&connection_limit=5&keepalives=1').host, 'h');
    assert.throws(() => parse('postgresql://h/d?sslmod=require'), {
      detail: 'The parameter "sslmod" is not recognized.',
    });
  });

  it('takes lists of hosts, addresses and ports entry by entry', () => {
    assert.deepEqual(parse('postgresql://a:1,b,[::1]:3/d').servers, [
      { host: 'a', port: 1 },
      { host: 'b', port: 5432 },
      { host: '::1', port: 3 },
    ]);
    assert.deepEqual(parse('host=a,b port=7').servers, [
      { host: 'a', port: 7 },
      { host: 'b', port: 7 },
    ]);
    assert.deepEqual(parse('host=a,/run/pg hostaddr=192.0.2.1, port=1,2').servers, [
      { host: 'a', hostAddress: '192.0.2.1', port: 1 },
      { host: '/run/pg', port: 2 },
    ]);
    assert.deepEqual(parse('hostaddr=192.0.2.1').servers, [{ host: '', hostAddress: '192.0.2.1', port: 5432 }]);
    assert.deepEqual(
      parse('', { PGHOST: 'a,b', PGPORT: '1,2' }).servers.map(({ port }) => port),
      [1, 2],
    );
    assert.deepEqual(
      parse('postgresql://db?host=a,b&port=1,2').servers.map(({ host }) => host),
      ['a', 'b'],
    );
    for (const text of ['host=a,b port=1,2,3', 'host=a hostaddr=192.0.2.1,192.0.2.2', 'hostaddr=name']) {
      assert.throws(() => parse(text), { code: 'PG_CONNECTION_STRING_INVALID' }, text);
    }
    assert.throws(() => parse('mysql://u:secret@h/d'), { detail: /"postgresql:\/\/", found "mysql:\/\/"/ });
  });

  it('names a socket in the abstract namespace by a leading @', () => {
    const target = parse('host=@holdfast port=6');
    assert.ok(target.isLocal);
    assert.equal(target.socketPath, '@holdfast/.s.PGSQL.6');
    assert.equal(target.place, 'server at "@holdfast/.s.PGSQL.6"');
  });

  it('reads what stands in dbname when that is a connection string itself', () => {
    const target = parse("user=a host=x dbname='postgresql://b@h:7/d?sslmode=require' port=8");
    assert.deepEqual([target.user, target.host, target.port, target.database], ['b', 'h', 8, 'd']);
    assert.equal(target.parts.sslMode, 'require');
    assert.equal(parse("dbname='host=h dbname=inner'").database, 'inner');
  });

  it('takes an empty value for the default, and does not look further for it', () => {
    const variables = { PGHOST: 'env', PGDATABASE: 'env', PGUSER: 'env', PGPASSWORD: 'env', PGSSLMODE: '' };
    const target = parse("host='' dbname='' password='' user=''", variables);
    assert.notEqual(target.host, 'env');
    assert.deepEqual([target.database, target.user, target.revealPassword()], ['anna', 'anna', undefined]);
    assert.equal(target.parts.sslMode, 'prefer');
    assert.throws(() => parse("sslmode=''"), { code: 'PG_CONNECTION_STRING_INVALID' });
  });

  it('reads the old name and the Java name of sslmode', () => {
    assert.equal(parse('requiressl=1').parts.sslMode, 'require');
    assert.equal(parse('', { PGREQUIRESSL: '1' }).parts.sslMode, 'require');
    assert.equal(parse('', { PGREQUIRESSL: '1', PGSSLMODE: 'disable' }).parts.sslMode, 'disable');
    assert.equal(parse('postgresql://h?ssl=true').parts.sslMode, 'require');
  });

  it('takes the roots of the system only for a full check', () => {
    assert.equal(parse('sslrootcert=system').parts.sslMode, 'verify-full');
    assert.throws(() => parse('sslrootcert=system sslmode=verify-ca'), { code: 'PG_CONNECTION_STRING_INVALID' });
  });

  it('begins with TLS at once only where there is no way back', () => {
    assert.equal(parse('sslnegotiation=direct sslmode=require').parts.tls?.negotiation, 'direct');
    assert.throws(() => parse('sslnegotiation=direct'), { code: 'PG_CONNECTION_STRING_INVALID' });
    assert.throws(() => parse('', { PGSSLNEGOTIATION: 'direct', PGSSLMODE: 'allow' }));
  });

  it('takes every setting of a link', () => {
    const { parts } = parse(
      'keepalives=1 keepalives_idle=5 keepalives_interval=6 keepalives_count=7 target_session_attrs=primary ' +
        'load_balance_hosts=random ssl_min_protocol_version=TLSv1.3 sslsni=0 require_auth=!password,!md5 ' +
        'fallback_application_name=fall',
      { PGSSLMAXPROTOCOLVERSION: 'TLSv1.3' },
    );
    assert.deepEqual(parts.keepalive, { isOn: true, idleMs: 5000, intervalMs: 6000, count: 7 });
    assert.deepEqual([parts.sessionAttributes, parts.balancesLoad], ['primary', true]);
    assert.deepEqual(
      [parts.tls?.versionMin, parts.tls?.versionMax, parts.tls?.sendsName],
      ['TLSv1.3', 'TLSv1.3', false],
    );
    assert.equal(parts.requireAuthentication?.allows('md5'), false);
    assert.equal(parts.applicationName, 'fall');
    assert.equal(parse('fallback_application_name=fall', { PGAPPNAME: 'own' }).parts.applicationName, 'own');
    assert.throws(() => parse('ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2'));
    assert.throws(() => parse('ssl_max_protocol_version=TLSv1.1'));
  });

  it('refuses by name what would be a promise that nobody keeps', () => {
    const wrong = [
      ...['gssencmode=require', 'gssdelegation=1', 'requirepeer=postgres host=/tmp', 'sslcertmode=require'],
      ...['oauth_issuer=https://x.example', 'scram_client_key=AAAA', 'sslkeylogfile=/tmp/keys'],
      ...['min_protocol_version=3.2'],
    ];
    for (const text of wrong) {
      const name = text.split('=')[0]!.replace('min_protocol_version', 'version 3\\.0');
      assert.throws(() => parse(text), { code: 'PG_CONNECTION_STRING_UNSUPPORTED', detail: new RegExp(name) }, text);
    }
    for (const text of [
      'gssencmode=prefer',
      'gssencmode=disable',
      'requirepeer=postgres host=h',
      'max_protocol_version=latest',
    ]) {
      assert.deepEqual(parse(text).parts.withoutEffect, [], text);
    }
  });

  it('names what has no effect', () => {
    const names = (text: string) => parse(text).parts.withoutEffect?.map((note) => note.split(':')[0]);
    assert.deepEqual(names('tcp_user_timeout=5000 client_encoding=LATIN1 krbsrvname=POSTGRES sslcompression=1'), [
      'tcp_user_timeout',
      'client_encoding',
      'krbsrvname',
      'sslcompression',
    ]);
    assert.deepEqual(names('tcp_user_timeout=0 client_encoding=utf8 sslcompression=0 replication=false'), []);
  });

  it('reads words and URIs that were written from the same values alike', () => {
    const value = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'));
    const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/);
    const place = fc.record(
      { host: fc.oneof(name, fc.ipV6(), fc.ipV4()), port: fc.integer({ min: 1, max: 65535 }) },
      { noNullPrototype: true },
    );
    const login = fc.record({ user: value, password: value, dbname: value, options: value }, { noNullPrototype: true });
    fc.assert(
      fc.property(login, fc.array(place, { minLength: 1, maxLength: 4 }), (given, places) => {
        const quoted = Object.entries(given).map(([key, text]) => `${key}='${text.replaceAll(/['\\]/g, '\\$&')}'`);
        const lists = `host=${places.map(({ host }) => host).join(',')} port=${places.map(({ port }) => port).join(',')}`;
        // A name of a database that looks like a connection string is one.
        fc.pre(!given.dbname.includes('='));
        const words = parse(`${quoted.join('\t')} ${lists}`);
        const [user, password, database, settings] = [given.user, given.password, given.dbname, given.options].map(
          encodeURIComponent,
        );
        const hosts = places.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',');
        const uri = parse(`postgres://${user}:${password}@${hosts}/${database}?options=${settings}`);
        for (const target of [words, uri]) {
          assert.deepEqual(target.servers, places);
          assert.deepEqual([target.user, target.revealPassword()], [given.user, given.password]);
          assert.deepEqual([target.database, target.parts.options], [given.dbname, given.options]);
          const again = parse(String(target));
          assert.deepEqual([again.servers, again.user, again.database], [places, given.user, given.dbname]);
        }
      }),
    );
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
      'connect_timeout=',
      'keepalives_idle=x',
      'target_session_attrs=main',
      'load_balance_hosts=yes',
      'require_auth=scram',
      'require_auth=md5,md5',
      'require_auth=!md5,password',
      'sslsni=2',
      'postgresql://u@h/d?a b=c',
      'postgresql://u@h/d?options=a b',
      'postgresql://[::1/d',
      'postgresql://h/d?x=y=z',
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
    assert.equal(target.at({ host: 'other', port: 1 }).revealPassword(), 'geheim');
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

  it('is not taken from a password file that others may read, which is said', async () => {
    const path = join(home, 'open');
    await writeFile(path, 'h:*:*:u:from-file\n', { mode: 0o644 });
    const found = parse(`host=h user=u passfile=${path}`).findPassword();
    assert.equal(found.password, undefined);
    assert.match(found.whyFileUnused ?? '', /others may read it \(chmod 0600/);
    assert.match(parse(`host=h passfile=${home}`).findPassword().whyFileUnused ?? '', /not a plain file/);
    assert.equal(parse(`host=h passfile=${home}/none`).findPassword().whyFileUnused, undefined);
  });

  it('is looked up for each server of a list, and anew each time', async () => {
    const path = join(home, 'several');
    await writeFile(path, 'a:1:*:u:first\nb:2:*:u:second\n192.0.2.1:*:*:u:third\n', { mode: 0o600 });
    const target = parse(`host=a,b,c port=1,2,3 user=u passfile=${path}`);
    assert.deepEqual(
      target.servers.map((server) => target.at(server).revealPassword()),
      ['first', 'second', undefined],
    );
    assert.deepEqual(target.revealSecrets(), ['first', 'second']);
    // The name counts, not the address behind it; without a name the address does.
    assert.equal(parse(`hostaddr=192.0.2.1 user=u passfile=${path}`).revealPassword(), 'third');
    assert.equal(parse(`host=a port=1 hostaddr=192.0.2.1 user=u passfile=${path}`).revealPassword(), 'first');
    await writeFile(path, 'a:1:*:u:changed\n', { mode: 0o600 });
    assert.equal(target.revealPassword(), 'changed');
  });

  it('of a key is as secret as the other', () => {
    const target = parse('host=h sslpassword=geheim sslkey=/k');
    assert.equal(target.revealKeyPassword(), 'geheim');
    assert.deepEqual(target.revealSecrets(), ['geheim']);
    for (const text of [
      String(target),
      JSON.stringify(target.parts),
      inspect(target, { depth: 9, showHidden: true }),
    ]) {
      assert.ok(!text.includes('geheim'), text);
    }
  });
});
