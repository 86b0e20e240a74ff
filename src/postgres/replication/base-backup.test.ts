import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  commandComplete,
  copyData,
  copyDone,
  copyOutResponse,
  int64,
  message,
  readyForQuery,
  report,
  rows,
  startScriptedServer,
  text,
} from '../../../test/support/scripted-postgres.ts';
import { HoldfastError } from '../../lib/index.ts';
import { connect } from '../connection/index.ts';
import { type BaseBackupResult, PageChecksumError, receiveBaseBackup } from './base-backup.ts';
import { formatBaseBackupCommand } from './base-backup-command.ts';

const options = { label: 'test', checkpoint: 'fast', manifestChecksums: 'SHA256' } as const;

const start = Buffer.concat([rows(['recptr', 'tli'], ['0/2000028', '3']), commandComplete('SELECT')]);
const tablespaces = Buffer.concat([
  rows(['spcoid', 'spclocation', 'size'], ['16385', '/space', '4'], [null, null, '1000']),
  commandComplete('SELECT'),
]);
const end = Buffer.concat([rows(['recptr', 'tli'], ['0/2000120', '3']), commandComplete('SELECT')]);
const done = Buffer.concat([commandComplete('SELECT'), readyForQuery]);
const bytes = (value: string) => Buffer.from(value);

const archives = [
  copyOutResponse,
  copyData(bytes('n'), text('16385.tar'), text('/space')),
  copyData(bytes('d'), bytes('one ')),
  copyData(bytes('d'), bytes('two')),
  copyData(bytes('p'), int64(7n)),
  copyData(bytes('n'), text('base.tar'), text('')),
  copyData(bytes('d'), bytes('three')),
  copyData(bytes('m')),
  copyData(bytes('d'), bytes('{mani')),
  copyData(bytes('d'), bytes('fest}')),
  copyDone,
];
const archives14 = [
  ...[copyOutResponse, copyData(bytes('one ')), copyData(bytes('two')), copyDone],
  ...[copyOutResponse, copyData(bytes('three')), copyDone],
  ...[copyOutResponse, copyData(bytes('{mani')), copyData(bytes('fest}')), copyDone],
];

/** Runs a backup against a server that answers with `answer`, and tells all that the sink heard. */
async function receive(version: string, answer: readonly Buffer[], bytewise = false) {
  const heard: string[] = [];
  let command: string | undefined;
  await using server = await startScriptedServer(async (client) => {
    await client.welcome(version);
    command = await client.readQuery();
    if (bytewise) await client.sendBytewise(...answer);
    else client.send(...answer);
    client.socket.end();
  });
  const connection = await connect(server.socketTarget, { replication: 'physical' });
  const outcome: BaseBackupResult | HoldfastError = await receiveBaseBackup(connection, options, {
    onStart: ({ tablespaces }) => void heard.push(`start ${tablespaces.map((space) => space.oid).join()}`),
    onArchive: ({ name, tablespacePath }) => void heard.push(`archive ${name} ${tablespacePath}`),
    onData: async (view) => {
      await null;
      heard.push(`data ${view}`);
    },
    onManifest: (view) => void heard.push(`manifest ${view}`),
    onProgress: (count) => void heard.push(`progress ${count}`),
  }).catch((error: unknown) => {
    assert.ok(error instanceof HoldfastError, String(error));
    return error;
  });
  await connection.close();
  return { heard, outcome, command };
}

describe('base backup', () => {
  const expected = [
    'start 16385,',
    'archive 16385.tar /space',
    'data one ',
    'data two',
    'progress 7',
    'archive base.tar null',
    'data three',
    'manifest {mani',
    'manifest fest}',
  ];

  it('comes in order from a server of 15 or later, however the bytes are cut', async () => {
    for (const bytewise of [false, true]) {
      const { heard, outcome, command } = await receive('17.2', [start, tablespaces, ...archives, end, done], bytewise);
      assert.deepEqual(heard, expected);
      assert.deepEqual(outcome, {
        startLsn: 0x2000028n,
        timeline: 3,
        endLsn: 0x2000120n,
        endTimeline: 3,
        tablespaces: [
          { oid: 16385, path: '/space', estimatedBytes: 4096 },
          { oid: null, path: null, estimatedBytes: 1_024_000 },
        ],
        warnings: [],
      });
      assert.match(command!, /^BASE_BACKUP \(LABEL 'test', CHECKPOINT 'fast', WAIT false, /);
    }
  });

  it('looks the same from a server of 14, which counts and marks nothing', async () => {
    for (const bytewise of [false, true]) {
      const { heard, outcome, command } = await receive(
        '14.9',
        [start, tablespaces, ...archives14, end, done],
        bytewise,
      );
      const heard14 = expected.flatMap((line) => (line === 'data three' ? [line, 'progress 12'] : [line]));
      assert.deepEqual(heard, heard14);
      assert.equal((outcome as BaseBackupResult).endLsn, 0x2000120n);
      assert.equal(command, "BASE_BACKUP LABEL 'test' FAST NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'SHA256'");
    }
  });

  it('whose pages fail their checksum is no success, although all of it arrived', async () => {
    const warning = report('N', { V: 'WARNING', C: '01000', M: 'checksum verification failed in file "x", block 3' });
    const failure = report('E', { V: 'ERROR', C: 'XX001', M: 'checksum verification failure during base backup' });
    for (const [version, sent] of [
      ['18.1', archives],
      ['14.9', archives14],
    ] as const) {
      const { heard, outcome } = await receive(version, [
        ...[start, tablespaces, ...sent.slice(0, 3), warning, ...sent.slice(3)],
        ...[end, failure, readyForQuery],
      ]);
      assert.equal(heard.at(-1), 'manifest fest}');
      assert.ok(outcome instanceof PageChecksumError);
      assert.equal(outcome.code, 'PG_PAGE_CHECKSUMS_FAILED');
      assert.equal(outcome.backup.endLsn, 0x2000120n);
      assert.equal(outcome.retryable, false);
      assert.deepEqual(outcome.failures, ['checksum verification failed in file "x", block 3']);
    }
  });

  it('that the server breaks off is the error of the server', async () => {
    const failure = report('E', { V: 'ERROR', C: '58030', M: 'could not read file' });
    const { outcome } = await receive('18.1', [start, tablespaces, ...archives.slice(0, 4), failure, readyForQuery]);
    assert.equal((outcome as HoldfastError).code, 'PG_SERVER_ERROR');
    const corrupt = report('E', { V: 'ERROR', C: 'XX001', M: 'unexpected page' });
    const early = await receive('18.1', [start, tablespaces, ...archives.slice(0, 4), corrupt, readyForQuery]);
    assert.equal((early.outcome as HoldfastError).code, 'PG_SERVER_ERROR');
  });

  it('that ends without its end position, or without its manifest, is no success', async () => {
    const cases: [string, Buffer[]][] = [
      ['18.1', [start, tablespaces, ...archives, done]],
      ['18.1', [start, tablespaces, ...archives.slice(0, 7), copyDone, end, done]],
      ['18.1', [start, tablespaces, end, done]],
      ['18.1', [start, tablespaces, ...archives, end, end, done]],
      ['18.1', [done]],
      ['18.1', [copyOutResponse, copyData(bytes('d'), bytes('x')), copyDone, done]],
      ['18.1', [start, tablespaces, copyOutResponse, copyData(bytes('d'), bytes('x')), copyDone, end, done]],
      ['18.1', [start, tablespaces, copyOutResponse, copyData(bytes('?')), copyDone, end, done]],
      ['14.9', [start, tablespaces, ...archives14.slice(0, 7), end, done]],
      ['14.9', [start, tablespaces, ...archives14, ...archives14, end, done]],
    ];
    for (const [version, answer] of cases) {
      const { outcome } = await receive(version, answer);
      assert.equal((outcome as HoldfastError).code, 'PG_PROTOCOL_VIOLATION');
    }
    const { outcome } = await receive('18.1', [start, tablespaces, ...archives]);
    assert.equal((outcome as HoldfastError).code, 'PG_CONNECTION_CLOSED');
  });

  it('answers any messages with a result or its own error', async () => {
    const pieces = [
      ...archives,
      ...archives14,
      start,
      tablespaces,
      end,
      commandComplete('X'),
      message('d', Buffer.of(0)),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('14.9', '18.1'),
        fc.array(fc.constantFrom(...pieces), { maxLength: 15 }),
        async (version, answer) => void (await receive(version, [...answer, readyForQuery])),
      ),
      { numRuns: 50 },
    );
  });
});

describe('the BASE_BACKUP command', () => {
  it('is written for each version with every option', () => {
    const all = {
      label: "it's",
      checkpoint: 'spread',
      manifestChecksums: 'CRC32C',
      progress: true,
      maxRateKilobytes: 32.9,
      tablespaceMap: true,
      verifyChecksums: false,
      waitForArchive: true,
    } as const;
    assert.equal(
      formatBaseBackupCommand(all, 15),
      "BASE_BACKUP (LABEL 'it''s', CHECKPOINT 'spread', WAIT true, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C', " +
        'VERIFY_CHECKSUMS false, PROGRESS, TABLESPACE_MAP, MAX_RATE 32)',
    );
    assert.equal(
      formatBaseBackupCommand(all, 14),
      "BASE_BACKUP LABEL 'it''s' PROGRESS MAX_RATE 32 TABLESPACE_MAP NOVERIFY_CHECKSUMS MANIFEST 'yes' " +
        "MANIFEST_CHECKSUMS 'CRC32C'",
    );
  });

  it('refuses a label in several lines and a rate out of range', () => {
    for (const wrong of [
      { label: 'a\nb' },
      { label: 'x'.repeat(1001) },
      { maxRateKilobytes: 31 },
      { maxRateKilobytes: 2e6 },
    ]) {
      assert.throws(() => formatBaseBackupCommand({ ...options, ...wrong }, 18), {
        code: 'PG_BASE_BACKUP_OPTION_INVALID',
      });
    }
  });
});
