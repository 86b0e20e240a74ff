import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { redactLine, redactSetting } from './redact.ts';

const secret = 'geheim42';

describe('redacting settings', () => {
  const hidden: [string, string][] = [
    ['primary_conninfo', `host=db user=r password=${secret} port=5432`],
    ['primary_conninfo', `host=db password='${secret} with blank' user=r`],
    ['primary_conninfo', `postgresql://r:${secret}@db:5432/?sslmode=require`],
    ['ssl_passphrase_command', `echo ${secret}`],
    ['archive_command', `AWS_SECRET_ACCESS_KEY=${secret} push %p`],
    ['archive_command', `env PGPASSWORD='${secret}' push %p`],
    ['app.settings.jwt_secret', secret],
    ['vault.api_key', secret],
    ['app.signingKey', secret],
  ];
  for (const [name, value] of hidden) {
    it(`hides what is secret in ${name} = ${value}`, () => {
      const shown = redactSetting(name, value);
      assert.doesNotMatch(shown!, /geheim42/);
      assert.match(shown!, /\[redacted\]/);
    });
  }

  it('leaves the rest of a value to be read', () => {
    assert.equal(
      redactSetting('primary_conninfo', `host=db password=${secret} port=5432`),
      'host=db password=[redacted] port=5432',
    );
  });

  it('leaves what only sounds like a secret', () => {
    assert.equal(redactSetting('password_encryption', 'scram-sha-256'), 'scram-sha-256');
    assert.equal(redactSetting('ssl_key_file', '/etc/ssl/private/a.key'), '/etc/ssl/private/a.key');
    assert.equal(redactSetting('ssl_passphrase_command', ''), '');
    assert.equal(redactLine('password_encryption = scram-sha-256'), 'password_encryption = scram-sha-256');
    assert.equal(redactSetting('work_mem', null), null);
  });
});

describe('redacting lines of files', () => {
  for (const line of [
    `primary_conninfo = 'host=db password=''${secret} x'' port=1'`,
    `#primary_conninfo = 'host=db password=${secret}'  # old`,
    `ssl_passphrase_command = 'echo ${secret}'`,
    `host all all 0.0.0.0/0 ldap ldapserver=l ldapbinddn="cn=x" ldapbindpasswd="${secret}"`,
    `host all all 0.0.0.0/0 radius radiussecrets="${secret}"`,
    `app.settings.jwt_secret '${secret}'`,
  ]) {
    it(`hides what is secret in ${line}`, () => {
      assert.doesNotMatch(redactLine(line), /geheim42/);
      assert.match(redactLine(line), /\[redacted\]/);
    });
  }
});
