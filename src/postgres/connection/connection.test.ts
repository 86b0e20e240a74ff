import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import {
  commandComplete,
  copyData,
  copyDone,
  copyOutResponse,
  int32,
  message,
  readyForQuery,
  report,
  rows,
  type ScriptedClient,
  startScriptedServer,
  text,
} from '../../../test/support/scripted-postgres.ts';
import { HoldfastError } from '../../lib/index.ts';
import type { PostgresError } from '../postgres-error.ts';
import { connect } from './connect.ts';
import { parseConnectionString } from './connection-string.ts';
import type { ConnectionTarget } from './target.ts';

describe('connecting', () => {
  it('names what the server objects to, and never the password', async () => {
    const table: [string, string, boolean, string?][] = [
      ['28P01', 'PG_AUTHENTICATION_FAILED', false],
      ['28000', 'PG_ACCESS_DENIED', false],
      ['3D000', 'PG_DATABASE_NOT_FOUND', false],
      ['42501', 'PG_ACCESS_DENIED', false],
      ['53300', 'PG_TOO_MANY_CONNECTIONS', true],
      ['53300', 'PG_TOO_MANY_CONNECTIONS', true, 'all "max_wal_senders" are in use (currently 10)'],
      ['53300', 'PG_REPLICATION_OFF', false, 'standby connections exceed "max_wal_senders" (currently 0)'],
      ['57P03', 'PG_SERVER_STARTING', true],
      ['08P01', 'PG_POOLER_IN_BETWEEN', false, 'unsupported startup parameter: replication'],
      ['08P01', 'PG_CONNECT_REPORTED', true, 'no PostgreSQL user name specified in startup packet'],
      ['XX000', 'PG_CONNECT_REPORTED', false],
    ];
    for (const [sqlState, code, retryable, message = 'no'] of table) {
      await using server = await startScriptedServer(async (client) => {
        await client.readStartup();
        client.send(report('E', { S: 'FATAL', V: 'FATAL', C: sqlState, M: message }));
        client.socket.end();
      });
      await assert.rejects(connect(server.target), (error: HoldfastError & { sqlState: string }) => {
        assert.deepEqual([error.code, error.retryable, error.sqlState], [code, retryable, sqlState]);
        assert.ok(!JSON.stringify([error.message, error.detail, error.hints]).includes('geheim'));
        return true;
      });
    }
  });

  it('says who it is', async () => {
    let startup = new Map<string, string>();
    await using server = await startScriptedServer(async (client) => {
      startup = await client.welcome();
    });
    const connection = await connect(server.target, {
      replication: 'physical',
      applicationName: 'holdfast_shop',
      settings: { wal_sender_timeout: '5s' },
    });
    await connection.close();
    assert.equal(startup.get('user'), 'anna');
    assert.equal(startup.get('replication'), 'true');
    assert.equal(startup.get('application_name'), 'holdfast_shop');
    assert.equal(startup.get('wal_sender_timeout'), '5s');
    assert.equal(connection.replication, 'physical');
    assert.equal(connection.processId, 4711);
    assert.deepEqual(connection.serverVersion, { major: 18, minor: 4, text: '18.4' });
  });

  it('gives up a server that never answers, when the time is over', async () => {
    let isConnected = () => {};
    const connected = new Promise<void>((resolve) => (isConnected = resolve));
    await using server = await startScriptedServer(async () => isConnected());
    const clock = new ManualClock();
    const attempt = assert.rejects(connect(server.target, { clock }), { code: 'PG_CONNECT_TIMEOUT', retryable: true });
    await connected;
    await clock.advance(9_999);
    await clock.advance(2);
    await attempt;
  });

  it('gives up when it is told to, before and while it connects', async () => {
    await using server = await startScriptedServer(async () => {});
    await assert.rejects(connect(server.target, { signal: AbortSignal.abort() }), { code: 'PG_CANCELLED' });
    const controller = new AbortController();
    const attempt = assert.rejects(connect(server.target, { signal: controller.signal }), { code: 'PG_CANCELLED' });
    controller.abort();
    await attempt;
  });

  it('tells a server that hangs up from one that is not there', async () => {
    for (const script of [
      async (client: ScriptedClient) => void client.socket.destroy(),
      async (client: ScriptedClient) => {
        await client.readStartup();
        client.socket.destroy();
      },
    ]) {
      await using server = await startScriptedServer(script);
      await assert.rejects(connect(server.target), { code: 'PG_CONNECTION_CLOSED', retryable: true });
    }
    const nowhere = parseConnectionString('host=127.0.0.1 port=1 password=x', { variables: {} });
    await assert.rejects(connect(nowhere), { code: 'PG_CONNECTION_REFUSED', retryable: true });
    const noSocket = parseConnectionString('host=/nowhere password=x', { variables: {} });
    await assert.rejects(connect(noSocket), { code: 'PG_CONNECTION_REFUSED' });
    const noHost = parseConnectionString('host=nowhere.invalid password=x', { variables: {} });
    await assert.rejects(connect(noHost), { code: 'PG_HOST_NOT_FOUND' });
  });

  it('notices that something else than PostgreSQL listens there', async () => {
    await using server = await startScriptedServer(async (client) => {
      client.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    for (const target of [server.target, server.target.with({ sslMode: 'disable' })]) {
      await assert.rejects(connect(target), { code: 'PG_PROTOCOL_VIOLATION' });
    }
  });

  it('answers any bytes during the login with its own error', async () => {
    const pieces = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc
          .tuple(fc.constantFrom('R', 'S', 'K', 'E', 'N', 'Z', 'T'), fc.uint8Array({ maxLength: 20 }))
          .map(([type, bytes]) => message(type, bytes)),
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(pieces, async (noise) => {
        await using server = await startScriptedServer(async (client) => {
          await client.readStartup();
          client.send(...noise);
          client.socket.end();
        });
        const outcome = await connect(server.socketTarget).catch((error: unknown) => error);
        assert.ok(outcome instanceof HoldfastError, String(outcome));
      }),
      { numRuns: 60 },
    );
  });

  it('asks for TLS where it is wanted, and refuses to go on without it', async () => {
    await using server = await startScriptedServer(async (client) => void (await client.welcome()));
    await (await connect(server.target)).close();
    for (const sslMode of ['require', 'verify-ca', 'verify-full'] as const) {
      await assert.rejects(connect(server.target.with({ sslMode })), { code: 'PG_TLS_REFUSED' });
    }
  });

  it('refuses bytes that were slipped in behind the answer about TLS', async () => {
    await using server = await startScriptedServer(async (client) => {
      await client.read();
      client.send(Buffer.from('S'), message('R', int32(0)), readyForQuery);
    });
    await assert.rejects(connect(server.target), { code: 'PG_PROTOCOL_VIOLATION' });
  });
});

describe('connecting to one of several', () => {
  const serve = (script: (client: ScriptedClient) => Promise<void>) => startScriptedServer(script);
  const both = (first: { target: ConnectionTarget }, second: { target: ConnectionTarget }) =>
    first.target.with({ servers: [first.target.servers[0], second.target.servers[0]] });
  const welcoming = () => serve(async (client) => void (await client.welcome()));

  it('goes on where a server is not ready, hangs up or has another role', async () => {
    const scripts = [
      async (client: ScriptedClient) => {
        await client.readStartup();
        client.send(report('E', { S: 'FATAL', V: 'FATAL', C: '57P03', M: 'starting up' }));
        client.socket.end();
      },
      async (client: ScriptedClient) => void client.socket.destroy(),
    ];
    await using second = await welcoming();
    for (const script of scripts) {
      await using first = await serve(script);
      const connection = await connect(both(first, second));
      assert.equal(connection.target.port, second.target.port);
      await connection.close();
    }
  });

  it('gives each server its own time', async () => {
    let connects = 0;
    let isConnected = () => {};
    const silent = async () => {
      connects += 1;
      isConnected();
    };
    await using first = await serve(silent);
    await using second = await serve(silent);
    const clock = new ManualClock();
    const attempt = assert.rejects(connect(both(first, second), { clock }), {
      code: 'PG_CONNECT_TIMEOUT',
      message: /^could not connect to any of the servers/,
      detail: /no answer\. .*no answer/,
      retryable: true,
    });
    for (const wanted of [1, 2]) {
      while (connects < wanted) await new Promise<void>((resolve) => (isConnected = resolve));
      await clock.advance(10_001);
    }
    await attempt;
  });

  it('asks a server that does not say what it is', async () => {
    const pooler = (answer: string) =>
      serve(async (client) => {
        await client.welcome();
        for (let query = await client.readQuery(); query !== undefined; query = await client.readQuery()) {
          client.send(rows(['x'], [answer]), commandComplete('SHOW'), readyForQuery);
        }
      });
    await using standby = await pooler('on');
    await using primary = await pooler('off');
    const target = both(standby, primary).with({ sessionAttributes: 'read-write' });
    const connection = await connect(target);
    assert.equal(connection.target.port, primary.target.port);
    await connection.close();
  });

  it('gives up a resolver that never answers', async () => {
    const target = parseConnectionString('host=db.example password=x', { variables: {} });
    const clock = new ManualClock();
    const attempt = assert.rejects(connect(target, { clock, resolveHost: () => new Promise(() => {}) }), {
      code: 'PG_CONNECT_TIMEOUT',
    });
    await clock.advance(10_001);
    await attempt;
  });

  it('goes on where a name leads nowhere', async () => {
    await using second = await welcoming();
    const target = second.target.with({ servers: [{ host: 'gone.example', port: 1 }, second.target.servers[0]] });
    const resolvers = [async () => [], async () => Promise.reject(new Error('getaddrinfo ENOTFOUND gone.example'))];
    for (const resolveHost of resolvers) {
      await (await connect(target, { resolveHost })).close();
      await assert.rejects(connect(target.at(target.servers[0]), { resolveHost }), { code: 'PG_HOST_NOT_FOUND' });
    }
  });

  it('stops at once when it is told to', async () => {
    const controller = new AbortController();
    await using first = await serve(async () => controller.abort());
    await using second = await welcoming();
    await assert.rejects(connect(both(first, second), { signal: controller.signal }), { code: 'PG_CANCELLED' });
  });
});

describe('logging in', () => {
  const askFor = (method: number, seen: string[]) => async (client: ScriptedClient) => {
    await client.readStartup();
    client.send(message('R', int32(method), ...(method === 5 ? [Buffer.from('salt')] : [])));
    seen.push((await client.read())?.payload.toString() ?? '');
    client.send(message('R', int32(0)), readyForQuery);
  };

  it('never sends a password in the clear over TCP, but over a Unix socket', async () => {
    const seen: string[] = [];
    await using server = await startScriptedServer(askFor(3, seen));
    await assert.rejects(connect(server.target), { code: 'PG_PASSWORD_UNSAFE' });
    await (await connect(server.socketTarget)).close();
    assert.deepEqual(seen.toSorted(), ['', 'geheim\0']);
  });

  it('answers the MD5 method with a hash', async () => {
    const seen: string[] = [];
    await using server = await startScriptedServer(askFor(5, seen));
    await (await connect(server.target)).close();
    assert.match(seen[0]!, /^md5[0-9a-f]{32}\0$/);
  });

  it('says that a password is missing, or a method unknown', async () => {
    await using server = await startScriptedServer(askFor(5, []));
    await assert.rejects(connect(server.target.with({ password: undefined })), { code: 'PG_PASSWORD_MISSING' });
    await using kerberos = await startScriptedServer(askFor(7, []));
    await assert.rejects(connect(kerberos.target), { code: 'PG_AUTHENTICATION_UNSUPPORTED' });
  });

  it('does not trust a server that leaves out its own proof, or says that it is ready too early', async () => {
    await using skipping = await startScriptedServer(async (client) => {
      await client.readStartup();
      client.send(message('R', int32(10), text('SCRAM-SHA-256'), Buffer.of(0)));
      const initial = (await client.read())!.payload.toString();
      const nonce = initial.slice(initial.indexOf('r=') + 2);
      client.send(message('R', int32(11), Buffer.from(`r=${nonce}X,s=AAAA,i=4096`)));
      await client.read();
      client.send(message('R', int32(0)), readyForQuery);
    });
    await assert.rejects(connect(skipping.target), { code: 'PG_PROTOCOL_VIOLATION' });
    await using hasty = await startScriptedServer(async (client) => {
      await client.readStartup();
      client.send(readyForQuery);
    });
    await assert.rejects(connect(hasty.target), { code: 'PG_PROTOCOL_VIOLATION' });
  });

  it('refuses every login that is not bound to TLS when binding is required', async () => {
    for (const method of [0, 3, 5]) {
      await using server = await startScriptedServer(askFor(method, []));
      const target = server.target.with({ channelBinding: 'require' });
      await assert.rejects(connect(target), { code: 'PG_CHANNEL_BINDING_IMPOSSIBLE' });
    }
  });
});

describe('a query', () => {
  const serve = (...answers: Buffer[]) =>
    startScriptedServer(async (client) => {
      await client.welcome();
      for (const answer of answers) {
        await client.readQuery();
        client.send(answer);
      }
    });

  it('gives the results of each statement', async () => {
    const answer = Buffer.concat([
      ...[rows(['a', 'b'], ['1', null], ['ü', '']), commandComplete('SELECT 2')],
      ...[message('I'), commandComplete('SET'), readyForQuery],
    ]);
    await using server = await startScriptedServer(async (client) => {
      await client.welcome();
      await client.readQuery();
      await client.sendBytewise(answer);
    });
    const connection = await connect(server.target);
    const [first, second] = await connection.query('SELECT');
    assert.deepEqual(first?.rows, [
      ['1', null],
      ['ü', ''],
    ]);
    assert.deepEqual(
      first?.columns.map((column) => column.name),
      ['a', 'b'],
    );
    assert.deepEqual(second, { columns: [], rows: [], command: 'SET' });
    await connection.close();
  });

  it('that fails leaves the connection good for the next', async () => {
    const failure = report('E', { V: 'ERROR', C: '42P01', M: 'no such\n thing', D: 'some detail', H: 'look' });
    await using server = await serve(
      Buffer.concat([failure, readyForQuery]),
      Buffer.concat([rows(['a'], ['1']), commandComplete('SELECT 1'), readyForQuery]),
    );
    const connection = await connect(server.target);
    await assert.rejects(connection.query('x'), {
      code: 'PG_SERVER_ERROR',
      sqlState: '42P01',
      message: 'server reported "no such thing" (SQLSTATE 42P01)',
      detail: 'some detail',
      hints: ['look'],
    });
    assert.deepEqual((await connection.query('y'))[0]?.rows, [['1']]);
    await connection.close();
    await assert.rejects(connection.query('z'), { code: 'PG_CONNECTION_CLOSED' });
  });

  it('must wait for the one before', async () => {
    await using server = await serve();
    const connection = await connect(server.target);
    const first = assert.rejects(connection.query('x'), { code: 'PG_CANCELLED' });
    await assert.rejects(connection.query('y'), { code: 'PG_CONNECTION_BUSY' });
    connection.destroy(new HoldfastError('PG_CANCELLED', 'enough'));
    await first;
  });

  it('that the server cuts off fails with what the server said last', async () => {
    await using server = await startScriptedServer(async (client) => {
      await client.welcome();
      await client.readQuery();
      client.send(report('E', { V: 'FATAL', C: '57P01', M: 'terminating connection' }));
      client.socket.end();
    });
    const connection = await connect(server.target);
    await assert.rejects(connection.query('x'), (error: PostgresError) => {
      assert.equal(error.sqlState, '57P01');
      assert.ok(error.retryable);
      assert.match(error.hints.join(' '), /run the same command again/i);
      return true;
    });
    await connection.closed;
    assert.equal(connection.isOpen, false);
  });

  it('that is cut off without a word fails as a lost connection', async () => {
    await using server = await startScriptedServer(async (client) => {
      await client.welcome();
      await client.readQuery();
      client.send(rows(['a'], ['1']));
      client.socket.destroy();
    });
    const connection = await connect(server.target);
    await assert.rejects(connection.query('x'), { code: 'PG_CONNECTION_CLOSED', retryable: true });
  });

  it('fails when the caller aborts it', async () => {
    await using server = await serve();
    const controller = new AbortController();
    const connection = await connect(server.target, { signal: controller.signal });
    const query = assert.rejects(connection.query('x'), { code: 'PG_CANCELLED' });
    controller.abort();
    await query;
  });

  it('answers any messages of a server with a result or its own error', async () => {
    const messages = fc.array(
      fc
        .tuple(fc.constantFrom(...'TDCEINSAHWdcZGt1'), fc.uint8Array({ maxLength: 30 }))
        .map(([type, bytes]) => message(type, bytes)),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(messages, async (noise) => {
        await using server = await startScriptedServer(async (client) => {
          await client.welcome();
          await client.readQuery();
          client.send(...noise);
          client.socket.end();
        });
        const connection = await connect(server.socketTarget);
        const outcome = await connection.query('x').catch((error: unknown) => error);
        assert.ok(Array.isArray(outcome) || outcome instanceof HoldfastError, String(outcome));
        await connection.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe('a copy from the server', () => {
  const PIECE = Buffer.alloc(32 * 1024, 7);

  it('holds the server back while the consumer is busy, and loses nothing', async () => {
    const pieces = 2_000;
    let sent = 0;
    await using server = await startScriptedServer(async (client) => {
      await client.welcome();
      await client.readQuery();
      client.send(copyOutResponse);
      for (; sent < pieces; sent++) {
        if (!client.socket.write(copyData(PIECE))) await new Promise((drained) => client.socket.once('drain', drained));
      }
      client.send(copyDone, commandComplete('COPY'), readyForQuery);
    });
    const connection = await connect(server.socketTarget);
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let bytes = 0;
    let isHeld = () => {};
    const holding = new Promise<void>((resolve) => (isHeld = resolve));
    const copy = connection.execute('COPY', {
      onCopyData: (view) => {
        bytes += view.length;
        assert.equal(view[0], 7);
        if (bytes !== PIECE.length * 3) return;
        isHeld();
        return held;
      },
    });
    await holding;
    for (let sentBefore = -1; sentBefore !== sent; ) {
      sentBefore = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(bytes, PIECE.length * 3);
    assert.ok(sent * PIECE.length < 8 * 1024 * 1024, `${sent} pieces were taken from the server`);
    release();
    await copy;
    assert.equal(bytes, pieces * PIECE.length);
    await connection.close();
  });

  it('ends with the error of its consumer, thrown or rejected, and hangs up', async () => {
    for (const fail of [
      () => {
        throw new Error('disk full');
      },
      () => Promise.reject(new Error('disk full')),
      // An error of the system on our side is not one of the link.
      () => Promise.reject(Object.assign(new Error('disk full'), { code: 'ENOSPC' })),
    ]) {
      await using server = await startScriptedServer(async (client) => {
        await client.welcome();
        await client.readQuery();
        client.send(copyOutResponse, copyData(PIECE), copyData(PIECE));
      });
      const connection = await connect(server.target);
      await assert.rejects(connection.execute('COPY', { onCopyData: fail }), { message: 'disk full' });
      assert.equal(connection.isOpen, false);
    }
  });
});
