import { Readable } from 'node:stream';
import type { Clock } from '../../lib/index.ts';
import { FORMAT_NAME } from '../format/index.ts';
import type { ObjectEntry, ObjectStat, ObjectStore, PutOutcome, StorePlace } from '../object-store/index.ts';
import type { CopyEventSink } from './events.ts';
import { mergeListings } from './merge-listings.ts';
import { PlaceReader } from './place-reader.ts';
import type { PlaceWatch } from './place-watch.ts';
import type { SpooledStore } from './spooled-store.ts';

/**
 * A repository as it can be seen while the primary is away: what the copies have, with what waits on this machine. What is put goes where it always
 * goes, so that WAL waits here and reaches the copies.
 *
 * What the primary alone has is not seen. So whoever builds on what is listed has to bear that there may be more, and compares when the primary is back.
 */
export class StandInStore implements ObjectStore {
  readonly description: string;
  readonly places: readonly StorePlace[];
  readonly #written: ObjectStore;
  readonly #spool: SpooledStore;
  readonly #reader: PlaceReader;
  readonly #copies: PlaceReader;

  constructor(options: {
    /** Where is put. */
    written: ObjectStore & { readonly places: readonly StorePlace[] };
    spool: SpooledStore;
    watches: readonly PlaceWatch[];
    clock: Clock;
    tell: CopyEventSink;
  }) {
    const { written, spool, watches, clock, tell } = options;
    this.#written = written;
    this.#spool = spool;
    this.description = `the copies of ${written.description}`;
    this.places = written.places;
    this.#reader = new PlaceReader({ watches, clock, kind: 'read', tell });
    const ofCopies = watches.filter(({ isPrimary }) => !isPrimary);
    this.#copies = new PlaceReader({ watches: ofCopies, clock, kind: 'read', tell });
  }

  putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    return this.#written.putIfAbsent(name, parts);
  }

  putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    return this.#written.putFileIfAbsent(name, path);
  }

  spoolDirectory(): Promise<string> {
    return this.#written.spoolDirectory();
  }

  delete(name: string): Promise<void> {
    return this.#written.delete(name);
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#written.putVolatile(name, body);
  }

  get(name: string): Promise<Buffer> {
    return this.readProved(name, (from) => from.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.readProved(name, (from) => from.getRange(name, offset, length));
  }

  async stat(name: string): Promise<ObjectStat | null> {
    return (await this.#here(name)) ?? this.#reader.stat(name);
  }

  async *list(
    prefix: string,
    options: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    const here = this.#spool.listHere(prefix, options.startAfter);
    // A primary that is away may take minutes to say so.
    const reader = this.#spool.isAway ? this.#copies : this.#reader;
    const listings = [Readable.from(here), reader.list(prefix, options)];
    for await (const { entries } of mergeListings(listings)) yield entries.find((entry) => entry !== null)!;
  }

  now(): Promise<number> {
    return this.#reader.now();
  }

  async readProved<T>(name: string, read: (from: ObjectStore) => Promise<T>): Promise<T> {
    if ((await this.#here(name)) === null) return this.#reader.readProved(name, read);
    try {
      return await read(this.#spool);
    } catch (error) {
      // It was handed over a moment ago, and a copy has it; or the one here is damaged.
      return this.#reader.readProved(name, read).catch(() => {
        throw error;
      });
    }
  }

  /** The bytes of `format` as a copy has them, to go on by while the primary is away. Errors: those of the copies. */
  formatOfCopies(): Promise<Buffer> {
    return this.#copies.readProved(FORMAT_NAME, (from) => from.get(FORMAT_NAME), { isSmall: true });
  }

  /** What waits on this machine under the name. */
  async #here(name: string): Promise<ObjectStat | null> {
    const [first] = this.#spool.listHere(name);
    return first?.name === name ? first : null;
  }
}
