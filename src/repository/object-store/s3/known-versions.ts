import { codeOf } from '../../../lib/index.ts';
import { madeOnce } from '../made-once.ts';
import { isFragment, isVolatile } from '../object-name.ts';
import type { ObjectEntry, Tampering } from '../store.ts';
import type { S3Connection, S3Version } from './connection.ts';
import { countingVersion, groupByName, isHidden, type NamedVersions } from './versions.ts';

/** Known versions, about 300 bytes each. Whatever is forgotten is asked for again. */
const KNOWN_MAX = 20_000;

/** Who may not ask, or whose server does not know the question. */
const UNANSWERED = new Set(['STORE_DENIED', 'STORE_FAILED']);

/** What a store asks, once it is opened. */
export interface OpenedBucket {
  readonly connection: S3Connection;
  readonly versions: KnownVersions;
}

/**
 * What is known of the versions of a bucket: whether it keeps any, and which one counts under a name.
 *
 * Of a name outside of `volatile/` the version that counts never changes while the object is there, so that it may be remembered.
 */
export class KnownVersions {
  readonly #connection: S3Connection;
  readonly #pageSize: number;
  readonly #known = new Map<string, Promise<S3Version | null>>();
  #asked = madeOnce(() => this.#ask());
  #pinned: S3Version | null = null;

  constructor(connection: S3Connection, pageSize: number) {
    this.#connection = connection;
    this.#pageSize = pageSize;
  }

  /** The same bucket, in which this version counts under its name. */
  pin(version: S3Version): KnownVersions {
    const view = new KnownVersions(this.#connection, this.#pageSize);
    view.#asked = this.#asked;
    view.#pinned = version;
    return view;
  }

  /** Whether names may have several versions. Asked once; an answer that names a version corrects it. */
  async areKept(): Promise<boolean> {
    if (this.#connection.hasSeenVersions) return true;
    return (await this.#asked()) || this.#connection.hasSeenVersions;
  }

  isKnown(name: string): boolean {
    return this.#known.has(name) || this.isPinned(name);
  }

  isPinned(name: string): boolean {
    return this.#pinned?.name === name;
  }

  /** The version that counts, as it was found before, or now when it was not. */
  find(name: string): Promise<S3Version | null> {
    return this.#known.get(name) ?? this.findAfresh(name);
  }

  findAfresh(name: string): Promise<S3Version | null> {
    if (this.isPinned(name)) return Promise.resolve(this.#pinned);
    return this.#remember(name, this.listOf(name).then(countingVersion));
  }

  forget(name: string): void {
    this.#known.delete(name);
  }

  /** All objects with a prefix behind `startAfter`, each by the version that counts, in bytewise order of names. */
  async *list(prefix: string, startAfter: string, withHidden: boolean): AsyncGenerator<ObjectEntry, void> {
    const pages = this.#connection.listVersions(prefix, startAfter, this.#pageSize);
    for await (const named of groupByName(pages)) {
      const counts = countingVersion(named);
      // A server may begin with the name itself, to which more versions than one may belong.
      if (counts === null || named.name <= startAfter) continue;
      if (!isVolatile(named.name)) this.#remember(named.name, Promise.resolve(counts));
      if (isHidden(named) && !withHidden) continue;
      yield { name: named.name, size: counts.size, modifiedAt: counts.modifiedAt };
    }
  }

  /** Names that have a version more than the one that counts, or a marker. */
  async *listTampering(): AsyncGenerator<Tampering, void> {
    for await (const { name, versions, markers } of groupByName(
      this.#connection.listVersions('', '', this.#pageSize),
    )) {
      if (isVolatile(name) || isFragment(name) || versions.length + markers.length < 2) continue;
      yield { name, overwritten: Math.max(0, versions.length - 1), isMarked: markers.length > 0 };
    }
  }

  /** All versions and markers of one name. */
  async listOf(name: string): Promise<NamedVersions> {
    // A name that begins other names stands before them: the first group is its own, or it has none.
    for await (const named of groupByName(this.#connection.listVersions(name, '', this.#pageSize))) {
      if (named.name === name) return named;
      break;
    }
    return { name, versions: [], markers: [] };
  }

  /** What is absent, or could not be asked for, is not remembered. */
  #remember(name: string, version: Promise<S3Version | null>): Promise<S3Version | null> {
    this.#known.delete(name);
    this.#known.set(name, version);
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    const forget = () => {
      if (this.#known.get(name) === version) this.#known.delete(name);
    };
    version.then((found) => found === null && forget(), forget);
    return version;
  }

  async #ask(): Promise<boolean> {
    try {
      return (await this.#connection.versioning()) !== 'off';
    } catch (error) {
      if (!UNANSWERED.has(codeOf(error) ?? '')) throw error;
    }
    try {
      // Whoever can list versions loses nothing by doing so where there are none.
      for await (const _ of this.#connection.listVersions('', '', 1)) break;
      return true;
    } catch (error) {
      if (!UNANSWERED.has(codeOf(error) ?? '')) throw error;
      return false;
    }
  }
}
