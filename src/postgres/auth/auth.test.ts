import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import { md5Password } from './md5.ts';
import { type ChannelBinding, ScramExchange } from './scram.ts';

/** A server's half of SCRAM-SHA-256, written from RFC 5802 apart from the client's. */
function scramServer(password: string, clientFirstBare: string, clientNonce: string, iterations = 4096) {
  const salt = Buffer.from('0123456789abcdef');
  const nonce = `${clientNonce}server`;
  const first = `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const mac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  return {
    first,
    /** Checks the client's proof and gives the server's last message. */
    finish(clientFinal: string): string {
      const withoutProof = clientFinal.slice(0, clientFinal.lastIndexOf(',p='));
      const authMessage = `${clientFirstBare},${first},${withoutProof}`;
      const clientKey = mac(salted, 'Client Key');
      const stored = createHash('sha256').update(clientKey).digest();
      const signature = mac(stored, authMessage);
      const proof = Buffer.from(clientFinal.slice(clientFinal.lastIndexOf(',p=') + 3), 'base64');
      const found = createHash('sha256')
        .update(proof.map((byte, index) => byte ^ signature[index]!))
        .digest();
      assert.deepEqual(found, stored, 'the proof is right');
      return `v=${mac(mac(salted, 'Server Key'), authMessage).toString('base64')}`;
    },
  };
}

describe('SCRAM-SHA-256', () => {
  it('gives the messages of the example in RFC 7677', async () => {
    const exchange = new ScramExchange('pencil', { kind: 'none' }, 'rOprNGfwEbeRWgbNEkqO');
    assert.equal(exchange.first('user'), 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
    const answer = await exchange.respond(
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      'user',
    );
    assert.equal(
      answer,
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    );
    exchange.finish('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  });

  it('says whether it could have bound the login to TLS, so that a server sees an offer that was taken out', async () => {
    for (const [kind, header] of [
      ['none', 'n,,'],
      ['not-offered', 'y,,'],
    ] as const) {
      const exchange = new ScramExchange('pencil', { kind });
      assert.equal(exchange.mechanism, 'SCRAM-SHA-256');
      const first = exchange.first();
      assert.equal(first.slice(0, 3), header);
      const bare = first.slice(3);
      const server = scramServer('pencil', bare, bare.slice('n=,r='.length), 10);
      const final = await exchange.respond(server.first);
      assert.ok(final.startsWith(`c=${Buffer.from(header).toString('base64')},`));
      exchange.finish(server.finish(final));
    }
  });

  it('logs in with any password, composed or not, at a server that knows its NFKC form', async () => {
    const passwords = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(passwords, async (password) => {
        const exchange = new ScramExchange(password);
        const bare = exchange.first().slice('n,,'.length);
        const server = scramServer(password.normalize('NFKC'), bare, bare.slice('n=,r='.length), 10);
        exchange.finish(server.finish(await exchange.respond(server.first)));
      }),
      { numRuns: 30 },
    );
  });

  it('binds itself to the certificate of the link below', async () => {
    const binding: ChannelBinding = { kind: 'tls-server-end-point', certificateHash: Buffer.alloc(32, 7) };
    const exchange = new ScramExchange('x', binding, 'nonce');
    assert.equal(exchange.mechanism, 'SCRAM-SHA-256-PLUS');
    assert.equal(exchange.first(), 'p=tls-server-end-point,,n=,r=nonce');
    const server = scramServer('x', 'n=,r=nonce', 'nonce', 10);
    const answer = await exchange.respond(server.first);
    const data = Buffer.from(/^c=([^,]+),/.exec(answer)![1]!, 'base64');
    assert.deepEqual(data, Buffer.concat([Buffer.from('p=tls-server-end-point,,'), Buffer.alloc(32, 7)]));
    exchange.finish(server.finish(answer));
  });

  it('does not trust a server whose signature is wrong', async () => {
    const exchange = new ScramExchange('x', { kind: 'none' }, 'nonce');
    const server = scramServer('x', 'n=,r=nonce', 'nonce', 10);
    await exchange.respond(server.first);
    const forged = `v=${Buffer.alloc(32).toString('base64')}`;
    assert.throws(() => exchange.finish(forged), { code: 'PG_SERVER_NOT_TRUSTED' });
    assert.throws(() => exchange.finish('v=AA=='), { code: 'PG_SERVER_NOT_TRUSTED' });
    assert.throws(() => exchange.finish('e=invalid-proof'), { code: 'PG_SCRAM_INVALID' });
  });

  it('refuses a foreign nonce, a lack of salt and too many rounds', async () => {
    const wrong = [
      'r=other,s=AAAA,i=4096',
      'r=nonce,s=AAAA,i=4096',
      'r=nonceX,s=,i=4096',
      'r=nonceX,s=AAAA,i=0',
      'r=nonceX,s=AAAA,i=999999999',
      'r=nonceX,s=AAAA,i=99999999999',
      'r=nonceX,s=AAAA',
      'm=ext,r=nonceX,s=AAAA,i=4096',
    ];
    for (const message of wrong) {
      const exchange = new ScramExchange('x', { kind: 'none' }, 'nonce');
      await assert.rejects(exchange.respond(message), { code: 'PG_SCRAM_INVALID' }, message);
    }
  });

  it('answers any text of a server with its own error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.string(), async (first, last) => {
        const exchange = new ScramExchange('x', { kind: 'none' }, 'n');
        await assert.rejects(exchange.respond(first), HoldfastError);
        assert.throws(() => exchange.finish(last), HoldfastError);
      }),
    );
  });

  it('draws a new nonce for each login', () => {
    const nonces = new Set(Array.from({ length: 100 }, () => new ScramExchange('x').first()));
    assert.equal(nonces.size, 100);
  });
});

describe('MD5 password', () => {
  it('is the one that the server computes', () => {
    const stored = createHash('md5').update('secretanna').digest('hex');
    const salt = Buffer.from([1, 2, 3, 4]);
    const expected = createHash('md5')
      .update(Buffer.concat([Buffer.from(stored), salt]))
      .digest('hex');
    assert.equal(md5Password('anna', 'secret', salt), `md5${expected}`);
  });
});
