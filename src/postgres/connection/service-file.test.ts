import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import { parseConnectionString } from './connection-string.ts';
import { findService } from './service-file.ts';

describe('service file', () => {
  let home: string;
  const read = (text: string, variables: Record<string, string> = {}) =>
    parseConnectionString(text, { variables, homeDirectory: home, userName: 'anna' });

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'holdfast-services-'));
    await mkdir(join(home, 'system'));
    const own = '# mine\n[shop]\nhost=own\nport=1,2\npassword=it is  secret\nhost=later\n\n[other]\nhost=o\n';
    await writeFile(join(home, '.pg_service.conf'), own.replace('port=1,2', 'port=1'));
    await writeFile(
      join(home, 'system', 'pg_service.conf'),
      '[shop]\nhost=no\n[wide]\n  host=wide  \nsslmode=require\n',
    );
    await writeFile(
      join(home, 'named.conf'),
      '[named]\nhost=n\n[bad]\nhosts=x\n[nested]\nservice=shop\n[ldap]\nldap://x/y\n',
    );
  });
  after(() => rm(home, { recursive: true }));

  it('of the user counts before the one of the system', () => {
    const PGSYSCONFDIR = join(home, 'system');
    assert.equal(read('service=shop', { PGSYSCONFDIR }).host, 'own');
    assert.equal(read('service=wide', { PGSYSCONFDIR }).host, 'wide');
    assert.equal(read('', { PGSYSCONFDIR, PGSERVICE: 'wide' }).parts.sslMode, 'require');
    assert.equal(read('postgresql:///?service=wide', { PGSYSCONFDIR }).host, 'wide');
  });

  it('counts after the connection string and before the environment', () => {
    const target = read('service=shop port=7', { PGHOST: 'env', PGPORT: '9', PGUSER: 'eva' });
    assert.deepEqual([target.host, target.port, target.user], ['own', 7, 'eva']);
    assert.equal(target.revealPassword(), 'it is  secret');
  });

  it('is told apart from one without the service, one that is missing and one that cannot be read', () => {
    const PGSERVICEFILE = join(home, 'named.conf');
    const PGSYSCONFDIR = join(home, 'system');
    assert.equal(read('service=named', { PGSERVICEFILE }).host, 'n');
    assert.throws(() => read('service=none', { PGSERVICEFILE, PGSYSCONFDIR }), {
      code: 'PG_SERVICE_NOT_FOUND',
      detail: /named\.conf", ".*system\/pg_service\.conf"/,
    });
    assert.throws(() => read('service=x', { PGSERVICEFILE: join(home, 'nowhere') }), { code: 'PG_SERVICE_NOT_FOUND' });
    assert.throws(() => read('service=bad', { PGSERVICEFILE }), {
      code: 'PG_CONNECTION_STRING_INVALID',
      detail: /"hosts"/,
    });
    assert.throws(() => read('service=nested', { PGSERVICEFILE }), {
      code: 'PG_SERVICE_FILE_INVALID',
      detail: /line 6/,
    });
    assert.throws(() => read('service=ldap', { PGSERVICEFILE }), { code: 'PG_SERVICE_FILE_INVALID', detail: /LDAP/ });
  });

  it('gives what was written into it, and its own errors for any text', () => {
    const name = fc.stringMatching(/^[a-z]{1,8}$/).filter((key) => key !== 'service');
    const value = fc.string({ maxLength: 12 }).filter((text) => text.trim() === text && !/[\r\n]/.test(text));
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 6 }), (values) => {
        const text = `[a]\nb=c\n[x]\n${Object.entries(values)
          .map(([key, given]) => `${key}=${given}\n`)
          .join('')}[y]\n?`;
        assert.deepEqual(findService(text, 'x', 'f'), new Map(Object.entries(values)));
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('[x]', '[', 'a=b', '=', '#', 'service=', 'ldap://', '\n', ' ')),
        (pieces) => {
          try {
            findService(pieces.join(''), 'x', 'f');
          } catch (error) {
            assert.ok(error instanceof HoldfastError);
          }
        },
      ),
    );
  });
});
