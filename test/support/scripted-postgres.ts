import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConnectionTarget, type TargetParts } from '../../src/postgres/index.ts';

/** One message as a client sent it; `type` is empty for those that begin a connection. */
export interface ClientMessage {
  readonly type: string;
  readonly payload: Buffer;
}

/** The server's side of one connection, driven by the test. */
export class ScriptedClient {
  readonly socket: Socket;
  #buffer = Buffer.alloc(0);
  #isStarted = false;
  #wake: () => void = () => {};
  #hasEnded = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    const end = () => {
      this.#hasEnded = true;
      this.#wake();
    };
    socket.on('close', end).on('end', end);
    // A client that hangs up in the middle is what some tests are about.
    socket.on('error', end);
  }

  /** The next message; undefined when the client has hung up. */
  async read(): Promise<ClientMessage | undefined> {
    for (;;) {
      const message = this.#cut();
      if (message !== undefined || this.#hasEnded) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #cut(): ClientMessage | undefined {
    const typeBytes = this.#isStarted ? 1 : 0;
    if (this.#buffer.length < typeBytes + 4) return undefined;
    const end = this.#buffer.readInt32BE(typeBytes) + typeBytes;
    if (this.#buffer.length < end) return undefined;
    const payload = this.#buffer.subarray(typeBytes + 4, end);
    const type = this.#buffer.toString('latin1', 0, typeBytes);
    this.#buffer = this.#buffer.subarray(end);
    // The code of a request for TLS or of a cancel request stands where the protocol's version would.
    if (!this.#isStarted && payload.readInt32BE(0) === 196608) this.#isStarted = true;
    return { type, payload };
  }

  /** Reads until a query comes and gives its text; undefined when the client has hung up. */
  async readQuery(): Promise<string | undefined> {
    for (;;) {
      const message = await this.read();
      if (message === undefined) return undefined;
      if (message.type === 'Q') return message.payload.toString('utf8', 0, message.payload.length - 1);
    }
  }

  send(...messages: Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(messages));
  }

  /** Sends each byte in a packet of its own, as far as the kernel lets it. */
  async sendBytewise(...messages: Uint8Array[]): Promise<void> {
    for (const byte of Buffer.concat(messages)) {
      this.send(Buffer.of(byte));
      await new Promise(setImmediate);
    }
  }

  /** Answers the request for TLS, if one comes, with no, and gives the start-up parameters. */
  async readStartup(): Promise<Map<string, string>> {
    for (;;) {
      const message = await this.read();
      if (message === undefined) return new Map();
      if (message.payload.readInt32BE(0) === 196608) {
        const words = message.payload.toString('utf8', 4).split('\0');
        return new Map(
          words.flatMap((word, index) => (index % 2 === 0 && word !== '' ? [[word, words[index + 1]!]] : [])),
        );
      }
      this.send(Buffer.from('N'));
    }
  }

  /** Lets the client in without a password. */
  async welcome(version = '18.4'): Promise<Map<string, string>> {
    const startup = await this.readStartup();
    this.send(
      message('R', int32(0)),
      message('S', text('server_version'), text(version)),
      message('K', int32(4711), int32(42)),
      readyForQuery,
    );
    return startup;
  }
}

/** A PostgreSQL server that says what a test wants it to say, at one address over TCP and one over a Unix socket. */
export interface ScriptedServer {
  readonly target: ConnectionTarget;
  readonly socketTarget: ConnectionTarget;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a server that runs `script` for each connection; what the script throws ends the connection. */
export async function startScriptedServer(script: (client: ScriptedClient) => Promise<void>): Promise<ScriptedServer> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-scripted-'));
  const sockets = new Set<Socket>();
  const serve = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    script(new ScriptedClient(socket)).catch((error) => socket.destroy(error));
  };
  const tcp = createServer(serve);
  const unix = createServer(serve);
  await new Promise<void>((done) => tcp.listen(0, '127.0.0.1', done));
  await new Promise<void>((done) => unix.listen(join(directory, '.s.PGSQL.5432'), done));
  const parts: TargetParts = {
    servers: [{ host: '127.0.0.1', port: (tcp.address() as AddressInfo).port }],
    user: 'anna',
    password: 'geheim',
    database: 'shop',
    sslMode: 'prefer',
    channelBinding: 'prefer',
    connectTimeoutMs: 10_000,
  };
  return {
    target: new ConnectionTarget(parts),
    socketTarget: new ConnectionTarget({ ...parts, servers: [{ host: directory, port: 5432 }] }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([tcp, unix].map((server) => new Promise((done) => server.close(done))));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A backend message of the given type. */
export function message(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(payload.length + 4), payload]);
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** UTF-8 with a zero byte behind it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'utf8');
}

/** RowDescription and a DataRow for each row. */
export function rows(columns: readonly string[], ...values: (string | null)[][]): Buffer {
  const description = columns.map((name) =>
    Buffer.concat([text(name), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]),
  );
  const data = values.map((row) => message('D', int16(row.length), ...row.map(encodeValue)));
  return Buffer.concat([message('T', int16(columns.length), ...description), ...data]);
}

function encodeValue(value: string | null): Buffer {
  if (value === null) return int32(-1);
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([int32(bytes.length), bytes]);
}

export function commandComplete(tag: string): Buffer {
  return message('C', text(tag));
}

export function report(type: 'E' | 'N', fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).map(([field, value]) =>
    Buffer.concat([Buffer.from(field, 'latin1'), text(value)]),
  );
  return message(type, ...parts, Buffer.of(0));
}

export const readyForQuery = message('Z', Buffer.from('I'));
export const copyOutResponse = message('H', Buffer.of(0), int16(0));
export const copyInResponse = message('G', Buffer.of(0), int16(0));
export const copyBothResponse = message('W', Buffer.of(0), int16(0));
export const copyDone = message('c');

export function copyData(...parts: readonly Uint8Array[]): Buffer {
  return message('d', ...parts);
}
