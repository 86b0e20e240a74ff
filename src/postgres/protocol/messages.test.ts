import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HoldfastError } from '../../lib/index.ts';
import {
  parseAuthentication,
  parseBackendKeyData,
  parseCommandComplete,
  parseDataRow,
  parseParameterStatus,
  parseRowDescription,
  parseServerReport,
} from './backend-messages.ts';
import {
  cancelRequest,
  copyDataMessage,
  passwordMessage,
  queryMessage,
  saslInitialResponse,
  sslRequest,
  startupMessage,
} from './frontend-messages.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('backend messages', () => {
  it('are read as the manual lays them out', () => {
    assert.deepEqual(parseAuthentication(hex('00000000')), { kind: 'ok' });
    assert.deepEqual(parseAuthentication(hex('00000005 01020304')), { kind: 'md5-password', salt: hex('01020304') });
    assert.deepEqual(parseAuthentication(Buffer.from('\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')), {
      kind: 'sasl',
      mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
    });
    assert.deepEqual(parseAuthentication(hex('00000007')), { kind: 'unsupported', method: 7 });
    assert.deepEqual(parseParameterStatus(Buffer.from('TimeZone\0UTC\0')), { name: 'TimeZone', value: 'UTC' });
    assert.deepEqual(parseBackendKeyData(hex('00000102 0a0b0c0d')), { processId: 258, secretKey: hex('0a0b0c0d') });
    assert.deepEqual(parseDataRow(hex('0003 ffffffff 00000000 00000002 c3bc')), [null, '', 'ü']);
    assert.deepEqual(parseRowDescription(hex('0001 6100 00000000 0000 00000017 0004 ffffffff 0000')), [
      { name: 'a', typeOid: 23 },
    ]);
    assert.equal(parseCommandComplete(Buffer.from('SELECT 2\0')), 'SELECT 2');
  });

  it('give every field of a report', () => {
    const report = parseServerReport(Buffer.from('SFEHLER\0VERROR\0C42P01\0Mmissing\0Dwhy\0Hdo\0Wwhere\0\0'));
    assert.deepEqual(report, {
      severity: 'ERROR',
      sqlState: '42P01',
      message: 'missing',
      detail: 'why',
      hint: 'do',
      where: 'where',
    });
  });

  it('that are cut short or random give a result or their own error', () => {
    const parsers = [
      ...[parseAuthentication, parseBackendKeyData, parseCommandComplete, parseDataRow],
      ...[parseParameterStatus, parseRowDescription, parseServerReport],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...parsers), fc.uint8Array({ maxLength: 80 }), (parse, bytes) => {
        try {
          parse(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof HoldfastError, String(error));
        }
      }),
    );
    assert.throws(() => parseDataRow(hex('0001 00000005 61')), { code: 'PG_MESSAGE_TRUNCATED' });
    assert.throws(() => parseDataRow(hex('ffff')), { code: 'PG_PROTOCOL_VIOLATION' });
    assert.throws(() => parseServerReport(Buffer.from('Mno end')), { code: 'PG_MESSAGE_TRUNCATED' });
  });
});

describe('frontend messages', () => {
  it('are written as the manual lays them out', () => {
    assert.deepEqual(sslRequest(), hex('00000008 04d2162f'));
    assert.deepEqual(cancelRequest(1, hex('00000002')), hex('00000010 04d2162e 00000001 00000002'));
    assert.deepEqual(startupMessage(new Map([['user', 'a']])), hex('00000010 00030000 7573657200 6100 00'));
    assert.deepEqual(queryMessage('x'), hex('51 00000006 7800'));
    assert.deepEqual(copyDataMessage(hex('0102')), hex('64 00000006 0102'));
    assert.deepEqual(saslInitialResponse('S', 'ab'), hex('70 0000000c 5300 00000002 6162'));
  });

  it('grow with what they hold, wherever the room ends', () => {
    for (const length of [200, 243, 244, 245, 246, 247, 248, 249, 260, 5_000]) {
      const text = 'u'.repeat(length);
      const expected = Buffer.concat([hex('00030000'), Buffer.from(`user\0${text}\0database\0d\0\0`)]);
      const message = startupMessage(
        new Map([
          ['user', text],
          ['database', 'd'],
        ]),
      );
      assert.equal(message.readInt32BE(0), message.length);
      assert.deepEqual(message.subarray(4), expected, `a name of ${length} bytes`);
    }
  });

  it('cannot hold a zero byte, which would begin another field', () => {
    assert.throws(() => queryMessage('a\0b'), { code: 'PG_TEXT_INVALID' });
    assert.throws(() => passwordMessage('a\0'), { code: 'PG_TEXT_INVALID' });
    assert.throws(() => startupMessage(new Map([['user', 'a\0options\0x']])), { code: 'PG_TEXT_INVALID' });
  });
});
