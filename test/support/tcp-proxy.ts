import { connect, createServer, type Socket } from 'node:net';

/** A stretch of network between a client and a server that can be made as bad as networks are. */
export interface TcpProxy {
  readonly port: number;
  /** How many connections were begun. */
  readonly connections: number;
  /** Bytes that came from the server so far. */
  readonly received: number;
  /** Ends every connection with a reset and refuses new ones until `mend`. */
  cut(): void;
  /** Holds everything back without a word, as a firewall that forgets a connection does, until `mend`. */
  swallow(): void;
  /** Lets only so many bytes of the server's through in a second; `null` for as many as come. */
  limit(bytesPerSecond: number | null): void;
  mend(): void;
  /** Resolves once so many bytes came from the server. */
  passed(bytes: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How often a limited connection gets its share. */
const SHARE_MS = 20;

/** Starts a proxy on 127.0.0.1 that leads to a port there. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<{ client: Socket; server: Socket }>();
  const waiting = new Set<() => void>();
  let mode: 'well' | 'cut' | 'silent' = 'well';
  let rate: number | null = null;
  let [connections, received] = [0, 0];

  const drained = (socket: Socket) =>
    new Promise<void>((resolve) => {
      const done = () => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
  const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const listener = createServer((client) => {
    if (mode === 'cut') return void client.resetAndDestroy();
    connections += 1;
    const server = connect(targetPort, '127.0.0.1');
    const pair = { client, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    void carry(client, server, false).catch(end);
    void carry(server, client, true).catch(end);
  });

  async function carry(from: Socket, to: Socket, isAnswer: boolean): Promise<void> {
    for await (const bytes of from as AsyncIterable<Buffer>) {
      while (mode === 'silent') await pause(SHARE_MS);
      for (let sent = 0; sent < bytes.length; ) {
        const share = isAnswer && rate !== null ? Math.max(1, Math.floor((rate * SHARE_MS) / 1000)) : bytes.length;
        const piece = bytes.subarray(sent, sent + share);
        if (!to.write(piece)) await drained(to);
        sent += piece.length;
        if (isAnswer) received += piece.length;
        for (const check of waiting) check();
        if (isAnswer && rate !== null) await pause(SHARE_MS);
      }
    }
    to.end();
  }

  await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const cutAll = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  };
  return {
    port: address.port,
    get connections() {
      return connections;
    },
    get received() {
      return received;
    },
    cut: () => {
      mode = 'cut';
      cutAll();
    },
    swallow: () => {
      mode = 'silent';
    },
    limit: (bytesPerSecond) => {
      rate = bytesPerSecond;
    },
    mend: () => {
      mode = 'well';
    },
    passed: (bytes) =>
      new Promise((resolve) => {
        const check = () => {
          if (received < bytes) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    [Symbol.asyncDispose]: async () => {
      mode = 'well';
      cutAll();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
