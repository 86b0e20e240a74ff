import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  commandComplete,
  copyInResponse,
  readyForQuery,
  report,
  type ScriptedClient,
  startScriptedServer,
} from '../../../test/support/scripted-postgres.ts';
import { parseBackupManifest } from '../backup-manifest.ts';
import { connect } from '../connection/index.ts';
import { formatBaseBackupCommand } from './base-backup-command.ts';
import { type IncrementBase, uploadManifest } from './upload-manifest.ts';

const base = (files: number): IncrementBase => ({
  systemId: '7612345678901234567',
  timeline: 3,
  startLsn: 0x2000028n,
  endLsn: 0x3000000n,
  files: Array.from({ length: files }, (_, i) => ({ path: `base/5/${16_384 + i}`, size: i * 8192 })),
});

/** Takes the client's copy to its end. */
async function readCopy(client: ScriptedClient): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (;;) {
    const message = await client.read();
    if (message === undefined || message.type === 'c') return Buffer.concat(parts);
    assert.equal(message.type, 'd');
    parts.push(Buffer.from(message.payload));
  }
}

/** Uploads to a server that does as `answer` says. */
async function upload(files: number, answer: (client: ScriptedClient) => Promise<void>): Promise<unknown> {
  await using server = await startScriptedServer(async (client) => {
    await client.welcome();
    assert.equal(await client.readQuery(), 'UPLOAD_MANIFEST');
    await answer(client);
  });
  const connection = await connect(server.socketTarget, { replication: 'physical' });
  try {
    await uploadManifest(connection, base(files));
    return (await connection.query('NEXT'))[0]?.command;
  } catch (error) {
    return error;
  } finally {
    await connection.close();
  }
}

describe('the manifest of a base', () => {
  it('goes to the server as one copy, after which the connection goes on', async () => {
    let received: Buffer = Buffer.alloc(0);
    const outcome = await upload(5000, async (client) => {
      client.send(copyInResponse);
      received = await readCopy(client);
      client.send(commandComplete('UPLOAD_MANIFEST'), readyForQuery);
      await client.readQuery();
      client.send(commandComplete('DONE'), readyForQuery);
    });
    assert.equal(outcome, 'DONE');
    const manifest = parseBackupManifest(received);
    assert.deepEqual([manifest.version, manifest.systemId], [2, base(0).systemId]);
    const [start, end] = [base(0).startLsn, base(0).endLsn];
    assert.deepEqual(manifest.walRanges, [{ timeline: 3, startLsn: start, endLsn: end }]);
    const files = manifest.files.map(({ path, size }) => ({ path, size }));
    assert.deepEqual(files, [...base(5000).files]);
  });

  it('that the server refuses, at once or in the middle, leaves the connection open', async () => {
    const refusal = report('E', { S: 'ERROR', V: 'ERROR', C: '55000', M: 'not now' });
    for (const inTheMiddle of [false, true]) {
      let isGoingOn = false;
      const outcome = await upload(5000, async (client) => {
        if (inTheMiddle) {
          client.send(copyInResponse);
          await client.read();
        }
        client.send(refusal, readyForQuery);
        // As the server's main loop does, what still comes of the copy is passed over.
        isGoingOn = true;
        await readCopy(client);
      });
      assert.ok(isGoingOn);
      assert.match(String(outcome), /not now/);
    }
  });

  it('is cut short when the server hangs up, with an error that says so', async () => {
    const outcome = await upload(200_000, async (client) => {
      client.send(copyInResponse);
      await client.read();
      client.socket.destroy();
    });
    assert.equal((outcome as { code?: string }).code, 'PG_CONNECTION_CLOSED');
  });
});

describe('the command for an increment', () => {
  const options = { label: 'x', checkpoint: 'fast', manifestChecksums: 'CRC32C', incremental: true } as const;

  it('asks for it from version 17 on, and is refused before', () => {
    assert.match(formatBaseBackupCommand(options, 17), /, INCREMENTAL\)$/);
    assert.doesNotMatch(formatBaseBackupCommand({ ...options, incremental: false }, 17), /INCREMENTAL/);
    assert.throws(() => formatBaseBackupCommand(options, 16), { code: 'PG_BASE_BACKUP_OPTION_INVALID' });
  });
});
