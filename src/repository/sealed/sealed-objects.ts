import { assert, type Clock, HoldfastError } from '../../lib/index.ts';
import {
  BodySealer,
  damagedObject,
  kindPrefix,
  type ObjectKind,
  openBody,
  PIECE_BYTES_MAX,
  sealBody,
} from '../codec/index.ts';
import type { KeyRing } from '../key/index.ts';
import { type ObjectStore, type PutOutcome, readProved } from '../object-store/index.ts';
import type { JsonValue } from './record.ts';

/** What a repository was opened for; each includes those before it. */
export type Access = 'read' | 'write' | 'prune';

/** The kinds that may be overwritten, all of them under `volatile/`. */
export type VolatileKind = 'lease' | 'status';

/** The kinds whose names end in an id that is drawn when they are written. */
export type DrawnKind = 'index' | 'attestation' | 'tombstone' | 'hold' | 'erasure' | 'snapshot-forgotten';

/** A store and its keys: bodies in, sealed; bodies out, proved. */
export class SealedObjects {
  readonly store: ObjectStore;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly access: Access;

  constructor(options: { store: ObjectStore; keys: KeyRing; clock: Clock; access: Access }) {
    this.store = options.store;
    this.keys = options.keys;
    this.clock = options.clock;
    this.access = options.access;
  }

  /**
   * Seals a body and stores it under its name, once. Durable when it returns.
   *
   * Errors: those of the store; `REPOSITORY_READ_ONLY`.
   */
  async putBody(kind: ObjectKind, name: string, body: Uint8Array): Promise<PutOutcome> {
    this.assertWritable();
    assertNameOfKind(kind, name);
    return this.store.putIfAbsent(name, sealBody(this.keys, { kind, name }, body));
  }

  /** Stores a body under `directory` and a fresh object id, and gives the name. */
  async putDrawn(kind: DrawnKind, directory: string, body: Uint8Array): Promise<string> {
    this.assertWritable();
    const { name, parts } = sealDrawn(this.keys, kind, directory, body);
    assertNameOfKind(kind, name);
    const outcome = await this.store.putIfAbsent(name, parts);
    // A store that repeats after a lost answer meets its own object; nobody else draws the same 32 bytes.
    assert(
      outcome === 'created' || (await this.store.get(name)).equals(Buffer.concat(parts)),
      'object ids are drawn once',
    );
    return name;
  }

  /**
   * The body of an object, every byte of it checked.
   *
   * Errors: `OBJECT_ABSENT`; `OBJECT_DAMAGED` naming the object and what was found; `OBJECT_NEWER`; `KEY_EPOCH_ABSENT`; those of the store.
   */
  async getBody(kind: ObjectKind, name: string): Promise<Buffer> {
    assertNameOfKind(kind, name);
    return readProved(this.store, name, async (from) => openBody(this.keys, { kind, name }, await from.get(name)));
  }

  putJson(kind: ObjectKind, name: string, value: JsonValue): Promise<PutOutcome> {
    return this.putBody(kind, name, encodeJson(value));
  }

  /** The value as it was written; its shape is for the caller to check (`readRecord`). Errors: as `getBody`. */
  async getJson(kind: ObjectKind, name: string): Promise<unknown> {
    return decodeJson(name, await this.getBody(kind, name));
  }

  /** Writes a record under `volatile/`, over whatever stood there. */
  async putVolatileJson(kind: VolatileKind, name: string, value: JsonValue): Promise<void> {
    this.assertWritable();
    assertNameOfKind(kind, name);
    await this.store.putVolatile(name, Buffer.concat(sealBody(this.keys, { kind, name }, encodeJson(value))));
  }

  /** Errors: `REPOSITORY_READ_ONLY` when it was opened to be read. */
  assertWritable(): void {
    if (this.access !== 'read') return;
    throw new HoldfastError('REPOSITORY_READ_ONLY', 'cannot write to a repository that was opened for reading', {
      detail: 'Features that forbid writing were not asked about when it was opened.',
    });
  }
}

export function encodeJson(value: JsonValue): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** Errors: `OBJECT_DAMAGED` when an authentic body is no JSON at all. */
export function decodeJson(name: string, body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw damagedObject(name, 'Its content is authentic but is not JSON.', error);
  }
}

function sealDrawn(
  keys: KeyRing,
  kind: DrawnKind,
  directory: string,
  body: Uint8Array,
): { name: string; parts: Buffer[] } {
  assert(body.length <= PIECE_BYTES_MAX * 16, 'a record or an index object is at most 16 MiB');
  const sealer = BodySealer.drawing(keys, kind, directory);
  return { name: sealer.name, parts: [sealer.header, ...sealer.sealAll(body)] };
}

function assertNameOfKind(kind: ObjectKind, name: string): void {
  assert(name.startsWith(kindPrefix(kind)), `"${name}" is a name for an object of kind "${kind}"`);
}
