import { HoldfastError } from '../../lib/index.ts';
import { MessageWriter } from './writer.ts';

/** Protocol 3.0, which every server from 14 to 18 speaks. */
const PROTOCOL_VERSION = 3 << 16;
/** Numbers that stand where a protocol version would and mean another request. */
const SSL_REQUEST_CODE = 80877103;
const CANCEL_REQUEST_CODE = 80877102;

/** Begins a connection. `parameters` are `user`, `database`, `replication` and any run-time settings. */
export function startupMessage(parameters: ReadonlyMap<string, string>): Buffer {
  const writer = new MessageWriter(null).int32(PROTOCOL_VERSION);
  for (const [name, value] of parameters) writer.text(withoutZero(name)).text(withoutZero(value));
  return writer.uint8(0).finish();
}

/** Asks whether the server speaks TLS; it answers with the single byte 'S' or 'N'. */
export function sslRequest(): Buffer {
  return new MessageWriter(null).int32(SSL_REQUEST_CODE).finish();
}

/** Sent on a connection of its own: stops what the named backend does now. */
export function cancelRequest(processId: number, secretKey: Uint8Array): Buffer {
  return new MessageWriter(null).int32(CANCEL_REQUEST_CODE).int32(processId).bytes(secretKey).finish();
}

export function passwordMessage(password: string): Buffer {
  return new MessageWriter('p').text(withoutZero(password)).finish();
}

export function saslInitialResponse(mechanism: string, data: string): Buffer {
  const bytes = Buffer.from(data, 'utf8');
  return new MessageWriter('p').text(mechanism).int32(bytes.length).bytes(bytes).finish();
}

export function saslResponse(data: string): Buffer {
  return new MessageWriter('p').bytes(Buffer.from(data, 'utf8')).finish();
}

/** One or several statements for the simple query protocol, or one command for a replication connection. */
export function queryMessage(sql: string): Buffer {
  return new MessageWriter('Q', sql.length + 64).text(withoutZero(sql)).finish();
}

export function copyDataMessage(data: Uint8Array): Buffer {
  return new MessageWriter('d', data.length + 5).bytes(data).finish();
}

export function copyDoneMessage(): Buffer {
  return new MessageWriter('c', 5).finish();
}

/** Ends a copy to the server as failed; `reason` is what the server's error will quote. */
export function copyFailMessage(reason: string): Buffer {
  return new MessageWriter('f').text(withoutZero(reason)).finish();
}

export function terminateMessage(): Buffer {
  return new MessageWriter('X', 5).finish();
}

/** A zero byte would end the text early, and the rest would be read as the next field: another statement, another setting. */
function withoutZero(text: string): string {
  if (text.includes('\0')) {
    throw new HoldfastError('PG_TEXT_INVALID', 'cannot send text with a zero byte to PostgreSQL', {
      detail: 'The protocol ends every text with a zero byte, so that none can be inside.',
    });
  }
  return text;
}
