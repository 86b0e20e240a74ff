import { HoldfastError } from '../../lib/index.ts';
import type { ServerReport } from '../postgres-error.ts';
import { PayloadReader } from './reader.ts';

/** Type bytes of the messages that a server sends, as far as the simple protocol and replication use them. */
export const backend = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: 0x64, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: 0x44, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  negotiateProtocolVersion: 0x76, // v
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterStatus: 0x53, // S
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const;

/** What the server asks for, or says, while a connection is authenticated. */
export type Authentication =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext-password' }
  | { readonly kind: 'md5-password'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl-continue'; readonly data: string }
  | { readonly kind: 'sasl-final'; readonly data: string }
  | { readonly kind: 'unsupported'; readonly method: number };

/** One column of a result, as RowDescription tells it. */
export interface Column {
  readonly name: string;
  readonly typeOid: number;
}

/** More columns than PostgreSQL can have in a result (1664). */
const COLUMNS_MAX = 2048;

/** Shape: int32 method · what the method needs. Errors: PG_MESSAGE_TRUNCATED. */
export function parseAuthentication(payload: Buffer): Authentication {
  const reader = new PayloadReader(payload, 'Authentication');
  const method = reader.int32();
  switch (method) {
    case 0:
      return { kind: 'ok' };
    case 3:
      return { kind: 'cleartext-password' };
    case 5:
      return { kind: 'md5-password', salt: Buffer.from(reader.bytes(4)) };
    case 10: {
      const mechanisms: string[] = [];
      while (reader.remaining > 0) {
        const name = reader.text();
        if (name === '') break;
        mechanisms.push(name);
      }
      return { kind: 'sasl', mechanisms };
    }
    case 11:
      return { kind: 'sasl-continue', data: reader.rest().toString('utf8') };
    case 12:
      return { kind: 'sasl-final', data: reader.rest().toString('utf8') };
    default:
      return { kind: 'unsupported', method };
  }
}

/** Shape: text name · text value. Errors: PG_MESSAGE_TRUNCATED. */
export function parseParameterStatus(payload: Buffer): { name: string; value: string } {
  const reader = new PayloadReader(payload, 'ParameterStatus');
  return { name: reader.text(), value: reader.text() };
}

/** Shape: int32 process id · the key with which a query can be cancelled. Errors: PG_MESSAGE_TRUNCATED. */
export function parseBackendKeyData(payload: Buffer): { processId: number; secretKey: Buffer } {
  const reader = new PayloadReader(payload, 'BackendKeyData');
  return { processId: reader.int32(), secretKey: Buffer.from(reader.rest()) };
}

/**
 * Shape: int16 count · for each: text name, int32 table, int16 column, int32 type, int16 size, int32 modifier, int16 format.
 * Errors: PG_MESSAGE_TRUNCATED, PG_PROTOCOL_VIOLATION when the count is impossible.
 */
export function parseRowDescription(payload: Buffer): Column[] {
  const reader = new PayloadReader(payload, 'RowDescription');
  return Array.from({ length: columnCount(reader, 'RowDescription') }, () => {
    const name = reader.text();
    reader.bytes(6);
    const typeOid = reader.uint32();
    reader.bytes(8);
    return { name, typeOid };
  });
}

/**
 * Shape:  int16 count · for each: int32 length (-1 is NULL) · bytes, read here as UTF-8 text.
 * Errors: PG_MESSAGE_TRUNCATED, PG_PROTOCOL_VIOLATION when the count is impossible.
 */
export function parseDataRow(payload: Buffer): (string | null)[] {
  const reader = new PayloadReader(payload, 'DataRow');
  return Array.from({ length: columnCount(reader, 'DataRow') }, () => {
    const length = reader.int32();
    return length === -1 ? null : reader.bytes(length).toString('utf8');
  });
}

/** The command's tag, for example 'SELECT 1'. Errors: PG_MESSAGE_TRUNCATED. */
export function parseCommandComplete(payload: Buffer): string {
  return new PayloadReader(payload, 'CommandComplete').text();
}

/**
 * Reads ErrorResponse and NoticeResponse alike.
 *
 * Shape:  fields, each a type byte and a text, ended by a zero byte. 'V' is the severity that is never translated.
 * Errors: PG_MESSAGE_TRUNCATED.
 */
export function parseServerReport(payload: Buffer): ServerReport {
  const reader = new PayloadReader(payload, 'ErrorResponse');
  const fields = new Map<string, string>();
  for (let field = reader.uint8(); field !== 0; field = reader.uint8()) {
    fields.set(String.fromCharCode(field), reader.text());
  }
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    sqlState: fields.get('C') ?? '',
    message: fields.get('M') ?? '',
    detail: fields.get('D'),
    hint: fields.get('H'),
    where: fields.get('W'),
  };
}

function columnCount(reader: PayloadReader, what: string): number {
  const count = reader.int16();
  if (count < 0 || count > COLUMNS_MAX) {
    throw new HoldfastError('PG_PROTOCOL_VIOLATION', `invalid message "${what}" from the server`, {
      detail: `Expected at most ${COLUMNS_MAX} columns, found ${count}.`,
    });
  }
  return count;
}
