import {
  Agent,
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { PassThrough, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type HttpFaultKind, type HttpFaults, httpFaultKinds, madeAnswers } from './http-fault.ts';
import { type Random, seededRandom } from './seeded-random.ts';

/** A stretch of network between a client of a store and its server, which understands HTTP and can be made as bad as networks and stores are. */
export interface FaultProxy extends AsyncDisposable {
  /** Stands for the target's; Host is passed on as the client sent it, so that signatures hold. */
  readonly endpoint: string;
  /** How many requests began. */
  readonly requests: number;
  /** How often each kind of fault really happened: one that found nothing to harm is not counted. */
  readonly happened: Readonly<Record<HttpFaultKind, number>>;
  readonly happenedInAll: number;
  /** Decides on the faults from here on; `null` for none. */
  use(faults: HttpFaults | null): void;
  /** Nothing gets through: connections are reset, or with `swallow` kept without a word, until `heal`. */
  cut(how?: 'reset' | 'swallow'): void;
  /** Ends `cut` and all faults. Delay and limit stay. */
  heal(): void;
  /** Every answer comes so much later, and one more time where a connection has to be opened first. */
  delay(milliseconds: number): void;
  /** Lets only so many bytes through in a second, in each direction, over all connections; `null` for as many as come. */
  limit(bytesPerSecond: number | null): void;
  /** Resolves when the server has carried out what was kept back for it. */
  settled(): Promise<void>;
}

export interface FaultProxyOptions {
  /** `http://HOST:PORT`. */
  target: string;
  /** Decides which bits flip and how far clocks go. */
  seed?: number;
  faults?: HttpFaults;
  /** How long `no-answer` is silent, and how late `late-request` is. */
  silenceMs?: number;
  lateMs?: number;
  delayMs?: number;
  /** Speaks TLS to the client. */
  tls?: { key: string; cert: string };
}

const SILENCE_MS = 300;
const LATE_MS = 100;
/** Idle connections outlast every pause of a test, so that no reset happens that was not asked for. */
const KEEP_ALIVE_MS = 120_000;
const HOUR_MS = 60 * 60_000;
/** How many older answers to questions for names are kept. */
const LISTINGS_MAX = 1000;

/** Starts a proxy on 127.0.0.1. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new RunningProxy(options);
  await proxy.listen();
  return proxy;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

class RunningProxy implements FaultProxy {
  readonly happened = Object.fromEntries(httpFaultKinds.map((kind) => [kind, 0])) as Record<HttpFaultKind, number>;
  requests = 0;
  readonly #options: FaultProxyOptions;
  readonly #target: URL;
  readonly #random: Random;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server;
  readonly #sockets = new Set<Socket>();
  readonly #greeted = new WeakSet<Socket>();
  readonly #listings = new Map<string, Answer>();
  readonly #late = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #pace = { up: new Pace(), down: new Pace() };
  #faults: HttpFaults | null;
  #mode: 'well' | 'reset' | 'swallow' = 'well';
  #delayMs: number;

  constructor(options: FaultProxyOptions) {
    this.#options = options;
    this.#target = new URL(options.target);
    this.#random = seededRandom(options.seed ?? 1);
    this.#faults = options.faults ?? null;
    this.#delayMs = options.delayMs ?? 0;
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch(() => request.socket.resetAndDestroy());
    };
    this.#server = options.tls === undefined ? createHttpServer(serve) : createHttpsServer({ ...options.tls }, serve);
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on('connection', (socket: Socket) => {
      if (this.#mode === 'reset') return void socket.resetAndDestroy();
      this.#sockets.add(socket);
      // Whoever hangs up is told by the request that was under way.
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => this.#server.once('error', reject).listen(0, '127.0.0.1', resolve));
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`;
  }

  get happenedInAll(): number {
    return Object.values(this.happened).reduce((sum, count) => sum + count, 0);
  }

  use(faults: HttpFaults | null): void {
    this.#faults = faults;
  }

  cut(how: 'reset' | 'swallow' = 'reset'): void {
    this.#mode = how;
    if (how === 'reset') this.#resetAll();
  }

  heal(): void {
    if (this.#mode === 'swallow') this.#resetAll();
    this.#mode = 'well';
    this.#faults = null;
  }

  delay(milliseconds: number): void {
    this.#delayMs = milliseconds;
  }

  limit(bytesPerSecond: number | null): void {
    this.#pace.up.bytesPerSecond = bytesPerSecond;
    this.#pace.down.bytesPerSecond = bytesPerSecond;
  }

  async settled(): Promise<void> {
    while (this.#late.size > 0) await Promise.all(this.#late);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    // A reset of a socket that TLS is about to shut down fails, and what it leaves keeps the process from ending.
    for (const socket of this.#sockets) socket.destroy();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await this.settled();
    this.#agent.destroy();
    await closed;
  }

  #resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const { socket } = request;
    if (this.#delayMs > 0) {
      await this.#pause(this.#greeted.has(socket) ? this.#delayMs : 2 * this.#delayMs);
      this.#greeted.add(socket);
    }
    if (this.#mode !== 'well') return; // Reset, or never to be answered.
    const url = request.url ?? '/';
    const isListing = request.method === 'GET' && /[?&](list-type=2|versions|comp=list)\b/.test(url);
    const bodyBytes = Number(request.headers['content-length'] ?? 0);
    const kind = this.#faults?.({ method: request.method ?? '', url, bodyBytes, isListing }) ?? null;
    if (kind !== null && (await this.#harmRequest(kind, request, response))) return;
    const answer = await this.#forward(request, request, (body) => this.#changedRequest(kind, body, bodyBytes));
    if (this.#mode !== 'well') return void socket.resetAndDestroy();
    if (kind === 'lost-answer' || kind === 'error-after') {
      await collect(answer);
      this.happened[kind] += 1;
      return kind === 'lost-answer' ? void socket.resetAndDestroy() : this.#say(kind, response);
    }
    if (isListing) await this.#answerListing(kind, url, answer, response);
    else await this.#answer(kind, answer, response);
  }

  /** What happens before the server hears anything; false when the request is to go on. */
  async #harmRequest(kind: HttpFaultKind, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { socket } = request;
    switch (kind) {
      case 'internal-error':
      case 'slow-down':
      case 'gateway-error':
      case 'clock-refused':
        await collect(request);
        this.happened[kind] += 1;
        this.#say(kind, response);
        return true;
      case 'reset-before':
        this.happened[kind] += 1;
        socket.resetAndDestroy();
        return true;
      case 'no-answer':
        this.happened[kind] += 1;
        request.resume();
        await this.#pause(this.#options.silenceMs ?? SILENCE_MS);
        socket.resetAndDestroy();
        return true;
      case 'late-request': {
        const body = await collect(request);
        this.happened[kind] += 1;
        socket.resetAndDestroy();
        const late = this.#carryOutLate(request, body).finally(() => this.#late.delete(late));
        this.#late.add(late);
        return true;
      }
      default:
        return false;
    }
  }

  async #carryOutLate(request: IncomingMessage, body: Buffer): Promise<void> {
    await this.#pause(this.#options.lateMs ?? LATE_MS);
    if (this.#ending.signal.aborted || this.#mode !== 'well') return;
    const source = new PassThrough();
    source.end(body);
    // The server may refuse it or be gone: nobody waits for this answer.
    await this.#forward(request, source).then(collect, () => {});
  }

  #changedRequest(kind: HttpFaultKind | null, body: Readable, length: number): Readable {
    if (length === 0) return body;
    if (kind === 'flipped-request-bit') {
      this.happened[kind] += 1;
      return body.pipe(flipBit(this.#random.below(length * 8)));
    }
    if (kind !== 'reset-amid-request') return body;
    this.happened[kind] += 1;
    // Errors at its half: `forward` then drops both connections.
    return body.pipe(breakAt(length >> 1));
  }

  /** Sends a request to the server; resolves with the head of its answer. Fails when either side goes away. */
  async #forward(
    request: IncomingMessage,
    body: Readable,
    change: (body: Readable) => Readable = (same) => same,
  ): Promise<IncomingMessage> {
    const { hostname, port } = this.#target;
    const { method, url, headers } = request;
    const upstream = httpRequest({ hostname, port, method, path: url, headers, agent: this.#agent });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      upstream.once('response', resolve).on('error', reject);
    });
    const sent = pipeline(change(body), this.#pace.up.stream(), upstream);
    // A body that breaks ends the request. A server may answer before it has all of it, and what breaks after that harms nobody.
    for (const outcome of [answered, sent]) outcome.catch(() => {});
    return await Promise.race([answered, sent.then(() => answered)]);
  }

  async #answerListing(
    kind: HttpFaultKind | null,
    url: string,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const fresh: Answer = {
      status: incoming.statusCode ?? 500,
      headers: incoming.headers,
      body: await collect(incoming),
    };
    const older = this.#listings.get(url);
    if (fresh.status === 200 && (older === undefined || this.#random.below(4) === 0)) {
      this.#listings.delete(url);
      this.#listings.set(url, fresh);
      const [oldest] = this.#listings.keys();
      if (this.#listings.size > LISTINGS_MAX) this.#listings.delete(oldest!);
    }
    if (kind === 'stale-listing' && older !== undefined && !older.body.equals(fresh.body)) {
      this.happened[kind] += 1;
      // Of today in its head: a cache in front of a store answers so.
      const headers = { ...older.headers, date: fresh.headers.date ?? new Date().toUTCString() };
      return await this.#deliver(null, { ...older, headers }, response);
    }
    await this.#deliver(kind, fresh, response);
  }

  async #answer(kind: HttpFaultKind | null, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = incoming.statusCode ?? 500;
    const length = Number(incoming.headers['content-length'] ?? 0);
    const harmsBody = kind !== null && /answer/.test(kind) && length > 0 && response.req.method !== 'HEAD';
    if (harmsBody) {
      const { headers } = incoming;
      return await this.#deliver(kind, { status, headers, body: await collect(incoming) }, response);
    }
    response.writeHead(status, this.#changedHead(kind, incoming.headers));
    await pipeline(incoming, this.#pace.down.stream(), response);
  }

  /** Answers with a body that is known as a whole, harmed if that can be done. */
  async #deliver(kind: HttpFaultKind | null, answer: Answer, response: ServerResponse): Promise<void> {
    const { status, body } = answer;
    const headers = this.#changedHead(kind, answer.headers);
    const { socket } = response;
    delete headers['transfer-encoding'];
    headers['content-length'] = String(body.length);
    if (kind !== null && body.length > 0) {
      if (kind === 'flipped-answer-bit') {
        this.happened[kind] += 1;
        const bit = this.#random.below(body.length * 8);
        body[bit >> 3]! ^= 1 << (bit & 7);
      } else if (kind === 'shortened-answer') {
        this.happened[kind] += 1;
        headers['content-length'] = String(body.length >> 1);
        response.writeHead(status, headers).end(body.subarray(0, body.length >> 1));
        return;
      } else if (kind === 'truncated-answer' || kind === 'reset-amid-answer') {
        this.happened[kind] += 1;
        response.writeHead(status, headers);
        // Only once the half has left us the connection ends.
        await new Promise((resolve) => response.write(body.subarray(0, body.length >> 1), resolve));
        if (kind === 'truncated-answer') socket?.destroySoon();
        else socket?.resetAndDestroy();
        return;
      }
    }
    response.writeHead(status, headers);
    const source = new PassThrough();
    source.end(body);
    await pipeline(source, this.#pace.down.stream(), response);
  }

  #changedHead(kind: HttpFaultKind | null, received: IncomingHttpHeaders): IncomingHttpHeaders {
    const headers = { ...received };
    delete headers.connection;
    delete headers['keep-alive'];
    if (kind === 'skewed-clock') {
      this.happened[kind] += 1;
      const away = (1 + this.#random.below(48)) * HOUR_MS * this.#random.pick([-1, 1]);
      headers.date = new Date(Date.parse(headers.date ?? '') + away).toUTCString();
    }
    if (kind === 'wrong-checksum') {
      const names = Object.keys(headers).filter((name) =>
        /^(x-amz-checksum-(?!type)|x-ms-content-crc64|content-md5|etag)/.test(name),
      );
      if (names.length > 0) this.happened[kind] += 1;
      for (const name of names)
        headers[name] = String(headers[name]).replace(/[0-9a-f]/i, (c) => (c === '0' ? '1' : '0'));
    }
    return headers;
  }

  #say(kind: HttpFaultKind, response: ServerResponse): void {
    const made = madeAnswers[kind];
    if (made !== undefined) response.writeHead(made.status, made.headers).end(made.body);
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#ending.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#ending.signal.addEventListener('abort', done);
    });
  }
}

/** Hands out the time at which bytes may pass, over all streams of one direction. */
class Pace {
  bytesPerSecond: number | null = null;
  #nextMs = 0;

  stream(): Transform {
    return new Transform({
      transform: (piece: Buffer, _encoding, pass) => {
        if (this.bytesPerSecond === null) return pass(null, piece);
        const now = performance.now();
        this.#nextMs = Math.max(now, this.#nextMs) + (piece.length * 1000) / this.bytesPerSecond;
        setTimeout(() => pass(null, piece), this.#nextMs - now);
      },
    });
  }
}

function flipBit(bit: number): Transform {
  let at = 0;
  return new Transform({
    transform: (piece: Buffer, _encoding, pass) => {
      const place = (bit >> 3) - at;
      at += piece.length;
      if (place < 0 || place >= piece.length) return pass(null, piece);
      const changed = Buffer.from(piece);
      changed[place]! ^= 1 << (bit & 7);
      pass(null, changed);
    },
  });
}

function breakAt(length: number): Transform {
  let left = length;
  return new Transform({
    transform(piece: Buffer, _encoding, pass) {
      if (piece.length < left) {
        left -= piece.length;
        return pass(null, piece);
      }
      this.push(piece.subarray(0, left));
      // After what was pushed has gone on its way.
      setImmediate(() => pass(new Error('broken off by the test')));
    },
  });
}

async function collect(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
