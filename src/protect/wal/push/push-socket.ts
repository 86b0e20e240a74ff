import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { type Clock, HoldfastError, messageOf } from '../../../lib/index.ts';
import { getBodyStream, isAbsent, type Repository } from '../../../repository/index.ts';
import type { WalAlarm } from '../events.ts';
import { describeSegmentBytes, hashOf, openSegmentFile, WalIngest } from '../files/index.ts';
import { findLineage } from '../inventory.ts';
import { historyObjectName, type LineagePlace, segmentObjectName } from '../object-names.ts';
import type { ReceiverOutage } from '../receiver/index.ts';
import { ofHistory, ofSegment } from './archived-file.ts';
import {
  type Answer,
  formatLine,
  LINE_BYTES_MAX,
  MEMORY_BYTES_MAX,
  type Offer,
  offerSchema,
  parseLine,
  partsOfError,
  socketPath,
} from './handover-messages.ts';
import { keepFile, type StorableFile, tellPushed } from './keep-file.ts';
import { heldBack, requireNotContradicted, requireSameView } from './push-outage.ts';
import { Silence } from './silence.ts';

/** More at once are as many archivers as no server has. */
const CONNECTIONS_MAX = 16;

/** A client that sends nothing for so long is gone. */
const SILENCE_MS_MAX = 30_000;

export interface PushSocketOptions {
  readonly repository: Repository;
  readonly cluster: string;
  readonly stateDirectory: string;
  readonly clock: Clock;
  /** Where the receiver stores now. */
  readonly place: () => LineagePlace;
  readonly onAlarm: (alarm: WalAlarm) => void;
  /** How the receiver goes on while the primary is away; without it all that is stored is in the primary. */
  readonly outage?: ReceiverOutage;
}

/** A receiver's open door for files. */
export interface PushSocket {
  close(): Promise<void>;
}

/**
 * Takes files from `wal push` for as long as the receiver runs. `null` when another receiver serves the same system from here, or when the path is
 * too long for a socket: then `wal push` opens the repository itself.
 * Errors: STATE_UNWRITABLE.
 */
export async function openPushSocket(options: PushSocketOptions): Promise<PushSocket | null> {
  const path = socketPath(options.stateDirectory, options.place().system);
  if (path === null || (await isServed(path))) return null;
  const desk = new PushDesk(options);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Whoever hangs up has what he wanted, or does it himself.
    socket.on('error', () => socket.destroy());
    const silence = new Silence(options.clock, SILENCE_MS_MAX, () => socket.destroy());
    socket.once('close', () => silence.end());
    void desk.serve(socket, new SocketInput(socket, () => silence.isBroken()));
  });
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, path);
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      await desk.settled();
      await rm(path, { force: true });
    },
  };
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    // What a receiver that was killed left.
    await rm(path, { force: true });
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    await chmod(path, 0o600);
  } catch (error) {
    throw new HoldfastError('STATE_UNWRITABLE', `could not listen at "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check that HOLDFAST_STATE_DIR names a directory on a local disk that you may write to.'],
      cause: error,
    });
  }
}

/** Whether a receiver of this state directory serves a system now. */
export async function isReceiverHere(stateDirectory: string, system: string): Promise<boolean> {
  const path = socketPath(stateDirectory, system);
  return path !== null && (await isServed(path));
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Nothing is stored of the file's own positions, and only the file before it tells whether it is of the same copy of the server: the client has
 * that one beside it.
 */
class PreviousWanted extends Error {}

/** Serves one client after the other, as each file is held against what the one before left. */
class PushDesk {
  readonly #options: PushSocketOptions;
  #turn: Promise<void> = Promise.resolve();
  #ingest: WalIngest | null = null;
  /** Of the file that is being taken. */
  #alarms: WalAlarm[] = [];

  constructor(options: PushSocketOptions) {
    this.#options = options;
  }

  settled(): Promise<void> {
    return this.#turn;
  }

  async serve(socket: Socket, input: SocketInput): Promise<void> {
    const line = await input.line();
    const offer = line === null ? null : parseLine(offerSchema, line);
    if (offer === null) return void socket.destroy();
    this.#turn = this.#turn
      .then(() => this.#answer(offer, input, socket))
      .then((answer) => void socket.end(formatLine(answer)))
      // A client that went away, or a temporary file that could not be written: the client does it himself.
      .catch(() => void socket.destroy());
  }

  async #answer(offer: Offer, input: SocketInput, socket: Socket): Promise<Answer> {
    const { repository, cluster, place, outage } = this.#options;
    // Before anything is read that the file is judged by.
    const returns = outage?.spool.returns ?? 0;
    const isOurs = offer.repository === repository.id && offer.system === place().system;
    if (!isOurs || (offer.cluster !== null && offer.cluster !== cluster)) return { answer: 'pass' };
    try {
      if (await this.#hasIt(offer, returns)) return { answer: 'kept', ...place(), isNew: false, alarms: [] };
      socket.write(formatLine({ answer: 'send' }));
      return await this.#take(offer, input, returns);
    } catch (error) {
      if (error instanceof PreviousWanted) return { answer: 'pass' };
      if (!(error instanceof HoldfastError)) throw error;
      // Perhaps the client has beside the file what is missing here.
      if (error.code === 'WAL_HISTORY_ABSENT') return { answer: 'pass' };
      return { answer: 'refused', ...partsOfError(error) };
    }
  }

  /** What is stored in the receiver's own lineage under the file's name has its bytes. */
  async #hasIt({ file, sha256 }: Offer, returns: number): Promise<boolean> {
    const { repository, place } = this.#options;
    try {
      if (/^[0-9A-F]{24}$/.test(file)) {
        const stored = { kind: 'wal-segment' as const, name: segmentObjectName(place(), file) };
        return (await hashOf(getBodyStream(repository, stored))) === sha256 && this.#assertAway([stored.name], returns);
      }
      if (/^[0-9A-F]{8}\.history$/.test(file)) {
        const name = historyObjectName(place(), Number.parseInt(file.slice(0, 8), 16));
        const hash = await hashOf(getBodyStream(repository, { kind: 'timeline-history', name }));
        return hash === sha256 && this.#assertAway([name], returns);
      }
    } catch (error) {
      if (isAbsent(error) || (error instanceof HoldfastError && error.code.startsWith('OBJECT_'))) return false;
      throw error;
    }
    return false;
  }

  async #take(offer: Offer, input: SocketInput, returns: number): Promise<Answer> {
    await using arrived = await this.#receive(offer, input);
    const { file } = arrived;
    if ((await file.sha256()) !== offer.sha256) return { answer: 'pass' };
    const { repository, cluster, stateDirectory, clock, onAlarm, place } = this.#options;
    if (this.#ingest?.followed !== place().lineage) this.#ingest = null;
    this.#ingest ??= new WalIngest({
      ...{ repository, cluster, stateDirectory, clock, system: place().system, preferred: place().lineage },
      onAlarm: (alarm) => {
        this.#alarms.push(alarm);
        onAlarm(alarm);
      },
      findHistory: async () => null,
      findPrevious: async () => {
        throw new PreviousWanted();
      },
    });
    // The receiver stores beside us: what it has stored since the last file is to be seen.
    const { header } = findLineage(await this.#ingest.list(), place().lineage);
    this.#alarms = [];
    const kept = await keepFile(this.#ingest, file, header.segmentBytes);
    this.#assertAway(kept.objects, returns);
    await tellPushed(repository, cluster, file, kept);
    const alarms = this.#alarms.map(({ alarm, error }) => ({ alarm, ...partsOfError(error) }));
    return { answer: 'kept', ...kept.place, isNew: kept.isNew, alarms };
  }

  /**
   * True where the objects are as safe as the plan wants them, or an error: PostgreSQL keeps the file and asks again.
   * Errors: WAL_PRIMARY_AWAY, WAL_PRIMARY_BACK, WAL_SPOOL_DIFFERS.
   */
  #assertAway(names: readonly string[], returns: number): true {
    const { outage } = this.#options;
    if (outage?.protect !== 'wal') return true;
    requireSameView(outage.spool, returns);
    requireNotContradicted(outage.spool, names);
    if (outage.spool.isAnyOnlyHere(names)) throw heldBack();
    return true;
  }

  async #receive(offer: Offer, input: SocketInput): Promise<AsyncDisposable & { file: StorableFile }> {
    const { file: name, size } = offer;
    const segmentName = name.replace(/\.partial$/, '');
    const kind = segmentName === name ? 'segment' : 'part';
    if (size <= MEMORY_BYTES_MAX) {
      const bytes = await gather(input.bytes(size));
      const file = name.endsWith('.history')
        ? ofHistory(name, bytes)
        : ofSegment(kind, name, describeSegmentBytes(segmentName, bytes));
      return { file: file as StorableFile, [Symbol.asyncDispose]: async () => {} };
    }
    const directory = join(this.#options.stateDirectory, 'wal');
    const path = join(directory, `pushed-${randomBytes(8).toString('hex')}`);
    const dispose = () => rm(path, { force: true });
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await using spool = await open(path, 'wx', 0o600);
      for await (const piece of input.bytes(size)) await spool.writeFile(piece);
      const file = ofSegment(kind, name, await openSegmentFile(path, segmentName));
      return { file: file as StorableFile, [Symbol.asyncDispose]: dispose };
    } catch (error) {
      await dispose();
      throw error;
    }
  }
}

/** What a client sends: a line, then bytes. */
class SocketInput {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #onHeard: () => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, onHeard: () => void) {
    this.#onHeard = onHeard;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  /** The next line; `null` when none comes. */
  async line(): Promise<string | null> {
    for (;;) {
      const at = this.#rest.indexOf(0x0a);
      if (at >= 0) {
        const line = this.#rest.toString('utf8', 0, at);
        this.#rest = this.#rest.subarray(at + 1);
        return line;
      }
      if (this.#rest.length > LINE_BYTES_MAX || !(await this.#more())) return null;
    }
  }

  /** Exactly so many bytes, in pieces. */
  async *bytes(count: number): AsyncGenerator<Buffer, void> {
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new Error('the client hung up');
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #more(): Promise<boolean> {
    try {
      const { value, done } = await this.#chunks.next();
      if (done) return false;
      this.#onHeard();
      this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
      return true;
    } catch {
      // A client that hangs up in the middle.
      return false;
    }
  }
}

async function gather(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
