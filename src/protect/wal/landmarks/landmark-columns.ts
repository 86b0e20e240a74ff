import { ByteReader, ByteWriter, HoldfastError, VarintReader, VarintWriter } from '../../../lib/index.ts';
import {
  type StorageEvent,
  type Timestamp,
  type TransactionEnd,
  timestampFromServer,
  timestampToServer,
  type XlogEvent,
} from '../../../postgres/index.ts';
import type { WalLandmark } from '../landmark.ts';
import { unrecognized } from './unrecognized.ts';

/** What a landmark is, in the lower five bits of its first byte. */
const KINDS = [
  'commit',
  'abort',
  'commit-prepared',
  'abort-prepared',
  'prepared',
  'checkpoint',
  'checkpoint-shutdown',
  'restore-point',
  'end-of-recovery',
  'backup-end',
  'parameter-change',
  'switch',
  'database-created',
  'database-dropped',
  'tablespace-created',
  'tablespace-dropped',
] as const;
type Kind = (typeof KINDS)[number];

const KIND_NUMBERS: Readonly<Record<Kind, number>> = Object.fromEntries(
  KINDS.map((kind, number) => [kind, number]),
) as Record<Kind, number>;

const KIND_MASK = 0x1f;
const HAS_DATABASE = 0x20;
const HAS_SUBTRANSACTIONS = 0x40;
const HAS_RELATIONS = 0x80;

/** Records begin at multiples of this. */
const ALIGNMENT = 8;
const UINT32 = 0x1_0000_0000n;

/** Reads what `LandmarkColumns` wrote. Errors: WAL_LANDMARKS_UNRECOGNIZED, BYTES_TRUNCATED, BYTES_TRAILING. */
export function decodeLandmarks(bytes: Buffer, segmentStart: bigint, segmentBytes: number): WalLandmark[] {
  const reader = new ByteReader(bytes);
  const kinds = reader.bytes(reader.u32());
  const columns = Array.from({ length: 5 }, () => new VarintReader(reader.bytes(reader.u32())));
  reader.end();
  const decoder = new LandmarkDecoder(columns, segmentStart, segmentBytes);
  return Array.from(kinds, (kind) => decoder.next(kind));
}

/**
 * Writes the landmarks of a segment column by column, as equal things compress well beside each other.
 *
 * Shape:  u32 count · count × u8 kind and flags · five columns, each u32 length · varints: LSNs · spans · times · xids · the rest, in the
 *         order of the landmarks.
 */
export class LandmarkColumns {
  readonly #segmentStart: bigint;
  readonly #kinds: number[] = [];
  /** Distance from the landmark before, in units of eight bytes; the first, signed, from the start of the segment. */
  readonly #lsns = new VarintWriter();
  readonly #spans = new VarintWriter();
  /** Signed distance in microseconds from the time before, the first from 2000-01-01. */
  readonly #times = new VarintWriter();
  /** Signed distance from the number before, the first from 0. */
  readonly #xids = new VarintWriter();
  readonly #rest = new VarintWriter();
  #distance = 0;
  #time = 0;
  #xid = 0;

  constructor(segmentStart: bigint) {
    this.#segmentStart = segmentStart;
  }

  get count(): number {
    return this.#kinds.length;
  }

  /** The commonest of all, without a detour: the end of a transaction that has nothing but its time, in µs since 2000-01-01 UTC. */
  addPlainEnd(
    outcome: TransactionEnd['outcome'],
    place: { distance: number; span: number },
    xid: number,
    time: number,
  ) {
    this.#addPlace(place.distance, place.span);
    this.#addServerTime(time);
    this.#addXid(xid);
    this.#kinds.push(KIND_NUMBERS[outcome]);
  }

  /** Errors: PG_WAL_RECORD_INVALID for a time that no clock shows; then nothing of it was added that could be finished. */
  add(landmark: WalLandmark): void {
    this.#addPlace(Number(landmark.lsn - this.#segmentStart), landmark.span);
    this.#kinds.push(this.#addParts(landmark));
  }

  finish(): Buffer {
    const writer = new ByteWriter(64 + this.count * 12).u32(this.count).bytes(Uint8Array.from(this.#kinds));
    for (const column of [this.#lsns, this.#spans, this.#times, this.#xids, this.#rest]) {
      const bytes = column.finish();
      writer.u32(bytes.length).bytes(bytes);
    }
    return writer.finish();
  }

  /** `distance` from the start of the segment; a record that reaches over it began before. */
  #addPlace(distance: number, span: number): void {
    const step = (distance - this.#distance) / ALIGNMENT;
    if (this.count === 0) this.#lsns.signed(step);
    else this.#lsns.unsigned(step);
    this.#distance = distance;
    this.#spans.unsigned(span);
  }

  #addParts(landmark: WalLandmark): number {
    switch (landmark.kind) {
      case 'transaction':
        return this.#addTransaction(landmark.transaction);
      case 'prepared': {
        const { xid, name, databaseOid, at } = landmark.prepared;
        this.#addTime(at);
        this.#addXid(xid);
        this.#rest.unsigned(databaseOid).text(name);
        return KIND_NUMBERS.prepared;
      }
      case 'event':
        return KIND_NUMBERS[this.#addEvent(landmark.event, landmark.lsn)];
      case 'storage':
        return KIND_NUMBERS[this.#addStorage(landmark.storage)];
    }
  }

  #addTransaction(end: TransactionEnd): number {
    const rest = this.#rest;
    this.#addTime(end.at);
    this.#addXid(end.xid);
    let flags = 0;
    if (end.databaseOid !== null) {
      flags |= HAS_DATABASE;
      rest.unsigned(end.databaseOid);
    }
    if (end.subtransactionXids.length > 0) {
      flags |= HAS_SUBTRANSACTIONS;
      rest.unsigned(end.subtransactionXids.length);
      let before = end.xid;
      for (const xid of end.subtransactionXids) {
        rest.signed(xid - before);
        before = xid;
      }
    }
    if (end.removedFiles.length > 0 || end.invalidatedRelations.length > 0) {
      flags |= HAS_RELATIONS;
      rest.unsigned(end.removedFiles.length);
      for (const file of end.removedFiles) {
        rest.unsigned(file.tablespaceOid).unsigned(file.databaseOid).unsigned(file.relationNumber);
      }
      rest.unsigned(end.invalidatedRelations.length);
      for (const { databaseOid, relationOid } of end.invalidatedRelations)
        rest.unsigned(databaseOid).unsigned(relationOid);
    }
    const kind: Kind = end.wasPrepared ? `${end.outcome}-prepared` : end.outcome;
    return KIND_NUMBERS[kind] | flags;
  }

  #addEvent(event: XlogEvent, lsn: bigint): Kind {
    const rest = this.#rest;
    switch (event.kind) {
      case 'checkpoint':
        this.#addTime(event.at);
        rest.signed(Number(lsn - event.redoLsn)).unsigned(event.timeline);
        this.#add64(event.nextXid);
        return event.isShutdown ? 'checkpoint-shutdown' : 'checkpoint';
      case 'restore-point':
        this.#addTime(event.at);
        rest.text(event.name);
        return event.kind;
      case 'end-of-recovery':
        this.#addTime(event.at);
        rest.unsigned(event.timeline).unsigned(event.previousTimeline);
        return event.kind;
      case 'backup-end':
        this.#add64(event.startLsn);
        return event.kind;
      case 'parameter-change': {
        const { settings } = event;
        for (const value of [
          settings.maxConnections,
          settings.maxWorkerProcesses,
          settings.maxWalSenders,
          settings.maxPreparedTransactions,
          settings.maxLocksPerTransaction,
          event.walLevel,
        ]) {
          rest.signed(value);
        }
        return event.kind;
      }
      case 'switch':
        return event.kind;
    }
  }

  #addStorage(storage: StorageEvent): Kind {
    const rest = this.#rest;
    if (storage.kind === 'database-created') rest.unsigned(storage.databaseOid).unsigned(storage.tablespaceOid);
    else if (storage.kind === 'database-dropped') rest.unsigned(storage.databaseOid);
    else if (storage.kind === 'tablespace-dropped') rest.unsigned(storage.tablespaceOid);
    else rest.unsigned(storage.tablespaceOid).text(storage.path);
    return storage.kind;
  }

  #addTime(at: Timestamp): void {
    this.#addServerTime(Number(timestampToServer(at)));
  }

  #addServerTime(time: number): void {
    if (!Number.isSafeInteger(time - this.#time)) {
      throw new HoldfastError('PG_WAL_RECORD_INVALID', 'invalid WAL record', {
        detail: `Found a time of ${time} µs since 2000, which no clock shows.`,
      });
    }
    this.#times.signed(time - this.#time);
    this.#time = time;
  }

  #addXid(xid: number): void {
    this.#xids.signed(xid - this.#xid);
    this.#xid = xid;
  }

  #add64(value: bigint): void {
    this.#rest.unsigned(Number(value / UINT32)).unsigned(Number(value % UINT32));
  }
}

class LandmarkDecoder {
  readonly #lsns: VarintReader;
  readonly #spans: VarintReader;
  readonly #times: VarintReader;
  readonly #xids: VarintReader;
  readonly #rest: VarintReader;
  readonly #segmentBytes: number;
  #lsn: bigint;
  #isFirst = true;
  #time = 0n;
  #xid = 0;

  constructor(columns: readonly VarintReader[], segmentStart: bigint, segmentBytes: number) {
    [this.#lsns, this.#spans, this.#times, this.#xids, this.#rest] = columns as [
      VarintReader,
      VarintReader,
      VarintReader,
      VarintReader,
      VarintReader,
    ];
    this.#lsn = segmentStart;
    this.#segmentBytes = segmentBytes;
  }

  next(kindAndFlags: number): WalLandmark {
    this.#lsn += BigInt((this.#isFirst ? this.#lsns.signed() : this.#lsns.unsigned()) * ALIGNMENT);
    this.#isFirst = false;
    const kind = KINDS[kindAndFlags & KIND_MASK];
    if (kind === undefined) throw unrecognized(`kind ${kindAndFlags & KIND_MASK}`);
    const lsn = this.#lsn;
    const span = this.#spans.unsigned();
    const place = { lsn, endLsn: this.#endOf(kind, lsn + BigInt(span)), span };
    switch (kind) {
      case 'commit':
      case 'abort':
      case 'commit-prepared':
      case 'abort-prepared':
        return { kind: 'transaction', ...place, transaction: this.#transaction(kind, kindAndFlags) };
      case 'prepared': {
        const [at, xid] = [this.#nextTime(), this.#nextXid()];
        const databaseOid = this.#rest.unsigned();
        return { kind: 'prepared', ...place, prepared: { xid, name: this.#rest.text(), databaseOid, at } };
      }
      case 'database-created':
      case 'database-dropped':
      case 'tablespace-created':
      case 'tablespace-dropped':
        return { kind: 'storage', ...place, storage: this.#storage(kind) };
      default:
        return { kind: 'event', ...place, event: this.#event(kind, lsn) };
    }
  }

  /** Behind a record the next may begin at the next multiple of eight bytes; behind a switch, in the next segment. */
  #endOf(kind: Kind, end: bigint): bigint {
    const unit = BigInt(kind === 'switch' ? this.#segmentBytes : ALIGNMENT);
    return ((end + unit - 1n) / unit) * unit;
  }

  #transaction(kind: 'commit' | 'abort' | 'commit-prepared' | 'abort-prepared', flags: number): TransactionEnd {
    const rest = this.#rest;
    const [at, xid] = [this.#nextTime(), this.#nextXid()];
    const databaseOid = (flags & HAS_DATABASE) === 0 ? null : rest.unsigned();
    let before = xid;
    const subtransactionXids = (flags & HAS_SUBTRANSACTIONS) === 0 ? [] : rest.list(() => (before += rest.signed()));
    const hasRelations = (flags & HAS_RELATIONS) !== 0;
    const removedFiles = hasRelations
      ? rest.list(() => ({
          tablespaceOid: rest.unsigned(),
          databaseOid: rest.unsigned(),
          relationNumber: rest.unsigned(),
        }))
      : [];
    const invalidatedRelations = hasRelations
      ? rest.list(() => ({ databaseOid: rest.unsigned(), relationOid: rest.unsigned() }))
      : [];
    return {
      outcome: kind === 'commit' || kind === 'commit-prepared' ? 'commit' : 'abort',
      wasPrepared: kind === 'commit-prepared' || kind === 'abort-prepared',
      xid,
      at,
      databaseOid,
      subtransactions: subtransactionXids.length,
      subtransactionXids,
      removedFiles,
      invalidatedRelations,
    };
  }

  #event(kind: Exclude<Kind, TransactionKind | StorageEvent['kind']>, lsn: bigint): XlogEvent {
    const rest = this.#rest;
    switch (kind) {
      case 'checkpoint':
      case 'checkpoint-shutdown':
        return {
          kind: 'checkpoint',
          isShutdown: kind === 'checkpoint-shutdown',
          redoLsn: lsn - BigInt(rest.signed()),
          timeline: rest.unsigned(),
          nextXid: this.#next64(),
          at: this.#nextTime(),
        };
      case 'restore-point':
        return { kind, name: rest.text(), at: this.#nextTime() };
      case 'end-of-recovery':
        return { kind, timeline: rest.unsigned(), previousTimeline: rest.unsigned(), at: this.#nextTime() };
      case 'backup-end':
        return { kind, startLsn: this.#next64() };
      case 'parameter-change':
        return {
          kind,
          settings: {
            maxConnections: rest.signed(),
            maxWorkerProcesses: rest.signed(),
            maxWalSenders: rest.signed(),
            maxPreparedTransactions: rest.signed(),
            maxLocksPerTransaction: rest.signed(),
          },
          walLevel: rest.signed(),
        };
      case 'switch':
        return { kind };
    }
  }

  #storage(kind: StorageEvent['kind']): StorageEvent {
    const oid = this.#rest.unsigned();
    switch (kind) {
      case 'database-created':
        return { kind, databaseOid: oid, tablespaceOid: this.#rest.unsigned() };
      case 'database-dropped':
        return { kind, databaseOid: oid };
      case 'tablespace-created':
        return { kind, tablespaceOid: oid, path: this.#rest.text() };
      case 'tablespace-dropped':
        return { kind, tablespaceOid: oid };
    }
  }

  #nextTime(): Timestamp {
    this.#time += BigInt(this.#times.signed());
    return timestampFromServer(this.#time);
  }

  #nextXid(): number {
    this.#xid += this.#xids.signed();
    return this.#xid;
  }

  #next64(): bigint {
    return BigInt(this.#rest.unsigned()) * UINT32 + BigInt(this.#rest.unsigned());
  }
}

type TransactionKind = 'commit' | 'abort' | 'commit-prepared' | 'abort-prepared' | 'prepared';
