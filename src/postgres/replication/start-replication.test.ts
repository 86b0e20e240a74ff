import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import {
  commandComplete,
  copyBothResponse,
  copyData,
  copyDone,
  int64,
  readyForQuery,
  report,
  rows,
  type ScriptedClient,
  startScriptedServer,
} from '../../../test/support/scripted-postgres.ts';
import { HoldfastError } from '../../lib/index.ts';
import { connect } from '../connection/index.ts';
import { startReplication, type WalStreamOptions } from './start-replication.ts';
import { formatStatusUpdate, parseKeepalive, parseWalMessage } from './streaming-messages.ts';

const wal = (startLsn: bigint, data: string) =>
  copyData(Buffer.from('w'), int64(startLsn), int64(startLsn + 100n), int64(1_000_000n), Buffer.from(data));
const keepalive = (endLsn: bigint, wantsReply: boolean) =>
  copyData(Buffer.from('k'), int64(endLsn), int64(0n), Buffer.of(wantsReply ? 1 : 0));

/** What a standby status update says. */
function readStatus(payload: Buffer) {
  assert.equal(payload.length, 34);
  assert.equal(payload.toString('latin1', 0, 1), 'r');
  const [write, flush, apply] = [1, 9, 17].map((at) => payload.readBigInt64BE(at));
  return { write, flush, apply, wantsReply: payload[33] === 1 };
}

/** Starts a stream from a server that goes on with `script` once START_REPLICATION has come. */
async function stream(
  script: (client: ScriptedClient, command: string) => Promise<void>,
  options: Partial<WalStreamOptions> = {},
) {
  const server = await startScriptedServer(async (client) => {
    await client.welcome();
    await script(client, (await client.readQuery()) ?? '');
  });
  const connection = await connect(server.target, { replication: 'physical' });
  const heard: string[] = [];
  const started = startReplication(connection, {
    startLsn: 0x1000000n,
    timeline: 2,
    onWal: (message) => void heard.push(`${message.startLsn} ${message.data}`),
    ...options,
  });
  return {
    heard,
    started,
    connection,
    async [Symbol.asyncDispose]() {
      connection.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('WAL stream', () => {
  it('gives WAL in order and tells the server how far we are', async () => {
    const statuses: ReturnType<typeof readStatus>[] = [];
    await using test = await stream(
      async (client, command) => {
        assert.equal(command, 'START_REPLICATION SLOT holdfast_shop PHYSICAL 0/1000000 TIMELINE 2');
        client.send(copyBothResponse, wal(0x1000000n, 'abc'));
        statuses.push(readStatus((await client.read())!.payload));
        client.send(wal(0x1000003n, 'd'), keepalive(0x2000000n, true));
        statuses.push(readStatus((await client.read())!.payload));
        assert.equal((await client.read())!.type, 'c');
        client.send(wal(0x1000004n, 'late'), copyDone, commandComplete('START_STREAMING'), readyForQuery);
      },
      { slot: 'holdfast_shop' },
    );
    const walStream = await test.started;
    walStream.sendStatus({ write: 0x1000003n, flush: 0x1000001n });
    while (statuses.length < 2) await new Promise(setImmediate);
    assert.deepEqual(await walStream.stop(), { ended: 'stopped' });
    assert.deepEqual(test.heard, ['16777216 abc', '16777219 d', '16777220 late']);
    assert.deepEqual(statuses, [
      { write: 0x1000003n, flush: 0x1000001n, apply: 0n, wantsReply: false },
      { write: 0x1000003n, flush: 0x1000001n, apply: 0n, wantsReply: false },
    ]);
    assert.ok(test.connection.isOpen);
  });

  it('ends with the next timeline where the server has no more of this one', async () => {
    await using test = await stream(async (client) => {
      client.send(copyBothResponse, wal(0x1000000n, 'x'), copyDone);
      assert.equal((await client.read())!.type, 'c');
      client.send(rows(['next_tli', 'next_tli_startpos'], ['3', '0/1000050']), commandComplete('SELECT'));
      client.send(commandComplete('START_STREAMING'), readyForQuery);
    });
    const { ended } = await test.started;
    assert.deepEqual(await ended, { ended: 'timeline', nextTimeline: 3, switchLsn: 0x1000050n });
    assert.ok(test.connection.isOpen);
  });

  it('ends with the next timeline also when there was nothing at all to stream', async () => {
    await using test = await stream(async (client) => {
      client.send(rows(['next_tli', 'next_tli_startpos'], ['3', '0/1000000']), commandComplete('SELECT'));
      client.send(commandComplete('START_STREAMING'), readyForQuery);
    });
    assert.deepEqual(await (await test.started).ended, { ended: 'timeline', nextTimeline: 3, switchLsn: 0x1000000n });
  });

  it('tells a server that is shut down in good order from one that is lost', async () => {
    await using orderly = await stream(async (client) => {
      client.send(copyBothResponse, commandComplete('COPY 0'));
      client.socket.end();
    });
    assert.deepEqual(await (await orderly.started).ended, { ended: 'server-shutdown' });
    await using lost = await stream(async (client) => {
      client.send(copyBothResponse);
      setTimeout(() => client.socket.destroy(), 20);
    });
    await assert.rejects((await lost.started).ended, { code: 'PG_CONNECTION_CLOSED', retryable: true });
  });

  it('fails with what the server objects to, before and while it streams', async () => {
    const gone = report('E', { V: 'ERROR', C: '58P01', M: 'requested WAL segment has already been removed' });
    await using before = await stream(async (client) => client.send(gone, readyForQuery));
    await assert.rejects(before.started, { sqlState: '58P01' });
    assert.ok(before.connection.isOpen);
    await using later = await stream(async (client) => client.send(copyBothResponse, gone, readyForQuery));
    await assert.rejects((await later.started).ended, { sqlState: '58P01' });
  });

  it('asks a silent server to answer at half the time, and gives it up at the end of it', async () => {
    const clock = new ManualClock();
    const requests: boolean[] = [];
    let answers = 0;
    await using test = await stream(
      async (client) => {
        client.send(copyBothResponse);
        for (let message = await client.read(); message !== undefined; message = await client.read()) {
          requests.push(readStatus(message.payload).wantsReply);
          if (requests.length === 1) client.send(keepalive(5n, false));
        }
      },
      { clock, timeoutMs: 60_000, onKeepalive: () => void answers++ },
    );
    const { ended } = await test.started;
    const stalled = assert.rejects(ended, { code: 'PG_REPLICATION_STALLED', retryable: true });
    await clock.advance(29_000);
    assert.equal(requests.length, 0);
    await clock.advance(2_000);
    while (requests.length < 1) await new Promise(setImmediate);
    // The answer begins a new wait.
    while (answers < 1) await new Promise(setImmediate);
    // The link is looked at every six seconds, so that the question comes within half the time and six seconds.
    await clock.advance(37_000);
    while (requests.length < 2) await new Promise(setImmediate);
    assert.ok(test.connection.isOpen);
    await clock.advance(40_000);
    await stalled;
    assert.deepEqual(requests, [true, true]);
  });

  it('does not blame the server while its own consumer is busy, and says that it is alive', async () => {
    const clock = new ManualClock();
    let release = () => {};
    let signsOfLife = 0;
    let isBusy = () => {};
    const busy = new Promise<void>((resolve) => (isBusy = resolve));
    await using test = await stream(
      async (client) => {
        client.send(copyBothResponse, wal(0x1000000n, 'x'));
        for (let message = await client.read(); message?.type === 'd'; message = await client.read()) {
          assert.equal(readStatus(message.payload).flush, 0n);
          signsOfLife++;
        }
        client.send(copyDone, commandComplete('START_STREAMING'), readyForQuery);
      },
      {
        clock,
        timeoutMs: 60_000,
        onWal: () => {
          isBusy();
          return new Promise((resolve) => (release = resolve));
        },
      },
    );
    const walStream = await test.started;
    await busy;
    await clock.advance(600_000);
    assert.ok(test.connection.isOpen);
    release();
    await new Promise(setImmediate);
    assert.deepEqual(await walStream.stop(), { ended: 'stopped' });
    assert.ok(signsOfLife > 50, `${signsOfLife} signs of life in ten minutes`);
  });

  it('ends with the error of its consumer', async () => {
    await using test = await stream(async (client) => client.send(copyBothResponse, wal(0x1000000n, 'x')), {
      onWal: () => Promise.reject(new Error('disk full')),
    });
    await assert.rejects((await test.started).ended, { message: 'disk full' });
    assert.equal(test.connection.isOpen, false);
  });

  it('refuses a message that it does not know', async () => {
    await using test = await stream(async (client) => client.send(copyBothResponse, copyData(Buffer.from('?'))));
    await assert.rejects((await test.started).ended, { code: 'PG_PROTOCOL_VIOLATION' });
  });

  it('refuses a slot name that would be more than a name', async () => {
    await using test = await stream(async () => {}, { slot: 'a; DROP' });
    await assert.rejects(test.started, { code: 'PG_SLOT_NAME_INVALID' });
  });
});

describe('messages of the WAL stream', () => {
  it('that are cut short or random give a result or their own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
        for (const parse of [parseWalMessage, parseKeepalive]) {
          try {
            parse(Buffer.from(noise));
          } catch (error) {
            assert.ok(error instanceof HoldfastError && error.code === 'PG_MESSAGE_TRUNCATED');
          }
        }
      }),
    );
  });

  it('carry every LSN and time', () => {
    const lsn = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
    fc.assert(
      fc.property(lsn, lsn, (write, flush) => {
        const bytes = formatStatusUpdate({ write, flush, replyRequested: true }, 946_684_800_000_005n);
        assert.equal(bytes.readBigUInt64BE(1), write);
        assert.equal(bytes.readBigUInt64BE(9), flush);
        assert.equal(bytes.readBigUInt64BE(25), 5n);
        assert.equal(bytes[33], 1);
      }),
    );
  });
});
