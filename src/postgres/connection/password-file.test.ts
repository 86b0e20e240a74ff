import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findPassword } from './password-file.ts';

const question = { host: 'h', port: 5432, databases: ['d'], user: 'u' };

describe('password file', () => {
  it('gives the password of the first line that fits', () => {
    const text = '# note\nx:*:*:*:no\n\nh:5432:d:u:first\n*:*:*:*:second\n';
    assert.equal(findPassword(text, question), 'first');
    assert.equal(findPassword(text, { ...question, port: 1 }), 'second');
    assert.equal(findPassword('h:5432:d:other:x', question), undefined);
    assert.equal(findPassword('h:5432:d:u', question), undefined);
    assert.equal(findPassword('', question), undefined);
  });

  it('gives what is meant for replication to whoever streams', () => {
    const text = 'h:5432:replication:u:streaming\n';
    assert.equal(findPassword(text, question), undefined);
    assert.equal(findPassword(text, { ...question, databases: ['d', 'replication'] }), 'streaming');
  });

  it('calls a socket in the default directory localhost', () => {
    assert.equal(findPassword('localhost:*:*:*:x', { ...question, host: '/tmp' }), 'x');
    assert.equal(findPassword('localhost:*:*:*:x', { ...question, host: '/run/other' }), undefined);
  });

  it('keeps colons of the password and undoes escapes', () => {
    assert.equal(findPassword('*:*:*:*:a:b\\:c\\\\d\r\n', question), 'a:b:c\\d');
    assert.equal(findPassword('\\:\\:1:*:*:*:x', { ...question, host: '::1' }), 'x');
  });

  it('finds every password that was written with escapes', () => {
    const text = fc
      .string({ minLength: 1 })
      .filter((value) => !/[\r\n\0]/.test(value) && !value.startsWith('#') && value !== '*');
    const addEscapes = (value: string) => value.replaceAll(/[\\:]/g, '\\$&');
    fc.assert(
      fc.property(text, text, (host, password) => {
        const line = `${addEscapes(host)}:*:*:*:${addEscapes(password)}`;
        assert.equal(findPassword(line, { ...question, host }), password);
      }),
    );
  });
});
