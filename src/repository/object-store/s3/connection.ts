import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import { type ByteRange, objectTooShort, storeErrorOf } from '../basics/index.ts';
import type { StoreCredentials } from '../credentials.ts';
import type { RateLimit } from '../rate-limit.ts';
import type { ObjectEntry, PutOutcome } from '../store.ts';
import type { Upload } from '../upload.ts';
import { makeClient } from './client.ts';
import { type AskedPlace, s3CodeOf, s3ErrorOf, statusOf } from './errors.ts';
import type { S3Location } from './location.ts';

/** What S3 bears between the clocks of a client and a server. */
const CLOCKS_APART_MS_MAX = 15 * 60_000;

/** What was read of an object. `size` is that of the whole object. */
export interface S3Content {
  readonly bytes: Buffer;
  readonly size: number;
  readonly modifiedAt: number;
  /** The version that was read; undefined where the server keeps none. */
  readonly version: string | undefined;
}

/** One version of a name, or a delete marker, which is a version without bytes. */
export interface S3Version extends ObjectEntry {
  readonly id: string;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
}

/**
 * Requests to one bucket, each once: repeating is the business of who asks. Names are those of objects, to which the prefix of the place is
 * put here and from which it is taken again.
 *
 * Errors: the store's codes (`errors.ts`); what is absent is `null`.
 */
export class S3Connection {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #place: AskedPlace;
  readonly #checksums: S3Location['checksums'];
  readonly #rate: RateLimit | null;
  readonly #signal: AbortSignal | undefined;
  readonly #clock: Clock;
  #hasSeenVersions = false;
  #isAmazon = false;

  constructor(client: S3Client, options: ConnectOptions) {
    this.#client = client;
    this.#clock = options.clock;
    this.#bucket = options.location.bucket;
    this.#prefix = options.location.prefix;
    this.#place = {
      ...{ bucket: options.location.bucket, region: options.location.region },
      description: options.description,
    };
    client.middlewareStack.add(
      (next) => async (args) => {
        const { hostname, protocol } = args.request as { hostname?: string; protocol?: string };
        this.#isAmazon = options.location.caFile === undefined && isOfAmazon(protocol, hostname);
        const result = await next(args);
        const headers = (result.response as { headers?: Record<string, string> }).headers ?? {};
        // Refusals name them, too: "absent" may mean that the newest version is a delete marker.
        if ('x-amz-version-id' in headers || 'x-amz-delete-marker' in headers) this.#hasSeenVersions = true;
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'holdfast-versions' },
    );
    this.#checksums = options.location.checksums;
    this.#rate = options.rate;
    this.#signal = options.signal;
  }

  /** Whether any answer so far has named a version, so that the bucket keeps them. */
  get hasSeenVersions(): boolean {
    return this.#hasSeenVersions;
  }

  /** Whether the last request went to Amazon: a configured endpoint of Amazon's tools may lead elsewhere, whatever the address says. */
  get isAmazon(): boolean {
    return this.#isAmazon;
  }

  /**
   * Stores an object, locked until a time if one is given; with `onlyNew` only if the name is free. Gives the version that it became, where the
   * server keeps several.
   */
  async put(
    name: string,
    upload: Upload,
    options: { onlyNew: boolean; lockedUntil: number | null },
  ): Promise<{ outcome: PutOutcome; version?: string | undefined }> {
    const body = upload.open();
    const broken = new AbortController();
    let isTaken = false;
    if (!Buffer.isBuffer(body)) body.once('error', (error) => broken.abort(error));
    const base64 = upload.digest.toString('base64');
    const command = new PutObjectCommand({
      ...{ Bucket: this.#bucket, Key: this.#prefix + name, Body: body, ContentLength: upload.size },
      ...(options.onlyNew ? { IfNoneMatch: '*' } : {}),
      // The algorithm is named besides, as there are servers that check nothing without it.
      ...(this.#checksums === 'when-required'
        ? {}
        : ({ ChecksumAlgorithm: 'SHA256', ChecksumSHA256: base64 } as const)),
      ...(options.lockedUntil === null
        ? {}
        : ({ ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: new Date(options.lockedUntil) } as const)),
    });
    // Signed with the request, so that even servers without checksums refuse other bytes.
    command.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] =
          upload.digest.toString('hex');
        return next(args);
      },
      { step: 'build', priority: 'low', name: 'holdfast-content-hash' },
    );
    try {
      const { VersionId } = await this.#client.send(command, this.#sendOptions(broken.signal));
      isTaken = true;
      return { outcome: 'created', version: VersionId };
    } catch (error) {
      if (options.onlyNew && statusOf(error) === 412) return { outcome: 'exists' };
      const cause = broken.signal.aborted ? storeErrorOf(broken.signal.reason, 'read a spool file') : error;
      throw this.#errorOf(cause, `write object "${name}"`, { isOfLock: options.lockedUntil !== null });
    } finally {
      // A body that the server took whole ends by itself; one that it did not wait for would keep its connection for ever.
      if (!isTaken && !Buffer.isBuffer(body)) {
        broken.abort();
        body.destroy();
      }
    }
  }

  /** Reads an object, or a range of it as far as it goes, of the newest version or the given one; `null` when absent. */
  async get(
    name: string,
    options: { range?: ByteRange | undefined; version?: string | undefined },
  ): Promise<S3Content | null> {
    const { range, version } = options;
    const action = `read object "${name}"`;
    try {
      const answer = await this.#client.send(
        new GetObjectCommand({
          ...{ Bucket: this.#bucket, Key: this.#prefix + name },
          ...(range === undefined ? {} : { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }),
          ...(version === undefined ? {} : { VersionId: version }),
        }),
        this.#sendOptions(),
      );
      const announced = announcedOf(answer.ContentLength, answer.ContentRange, range, action);
      const bytes = await this.#receive(answer.Body as Readable, announced.length, action);
      const modifiedAt = toSeconds(answer.LastModified);
      return { bytes, size: announced.size, modifiedAt, version: answer.VersionId };
    } catch (error) {
      if (isKeyAbsent(error)) return null;
      if (statusOf(error) === 416 && range !== undefined) throw objectTooShort(name, range, 0);
      throw this.#errorOf(error, action);
    }
  }

  /** All objects with a prefix behind `startAfter`, in bytewise order of names, by their newest version. */
  async *list(prefix: string, startAfter: string, pageSize: number): AsyncGenerator<ObjectEntry, void> {
    let token: string | undefined;
    do {
      const position = token === undefined ? this.#startAfter(startAfter) : { ContinuationToken: token };
      const page = await this.#ask(`list objects under "${prefix}"`, () =>
        this.#client.send(
          new ListObjectsV2Command({
            ...{ Bucket: this.#bucket, Prefix: this.#prefix + prefix, MaxKeys: pageSize },
            ...position,
          }),
          this.#sendOptions(),
        ),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        yield { name: this.#nameOf(Key, prefix), size: Size ?? 0, modifiedAt: toSeconds(LastModified) };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      // To end here would hide every name behind it.
      if (page.IsTruncated === true && token === undefined) {
        throw unsound(`list objects under "${prefix}"`, 'Expected a page to name the next one.');
      }
    } while (token !== undefined);
  }

  /**
   * All versions of all objects with a prefix behind `startAfter`, in pages: names in bytewise order, of each the newest version first; the
   * markers stand behind the versions of their page.
   */
  async *listVersions(prefix: string, startAfter: string, pageSize: number): AsyncGenerator<S3Version[], void> {
    let position: { KeyMarker?: string; VersionIdMarker?: string } =
      startAfter === '' ? {} : { KeyMarker: this.#prefix + startAfter };
    for (let isLast = false; !isLast; ) {
      const page = await this.#ask(`list versions of objects under "${prefix}"`, () =>
        this.#client.send(
          new ListObjectVersionsCommand({
            ...{ Bucket: this.#bucket, Prefix: this.#prefix + prefix, MaxKeys: pageSize },
            ...position,
          }),
          this.#sendOptions(),
        ),
      );
      isLast = page.IsTruncated !== true;
      position = {
        ...(page.NextKeyMarker === undefined ? {} : { KeyMarker: page.NextKeyMarker }),
        ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }),
      };
      // Without a place to go on from the same page would come for ever.
      if (!isLast && page.NextKeyMarker === undefined) {
        throw unsound(`list versions of objects under "${prefix}"`, 'Expected a page to name the next one.');
      }
      yield this.#versionsOf(page, prefix);
    }
  }

  /** Deletes one version for good; without one the name, of which a bucket with versions keeps them and adds a marker. */
  async delete(name: string, version?: string): Promise<void> {
    await this.#ask(`delete object "${name}"`, () =>
      this.#client.send(
        new DeleteObjectCommand({
          ...{ Bucket: this.#bucket, Key: this.#prefix + name },
          ...(version === undefined ? {} : { VersionId: version }),
        }),
        this.#sendOptions(),
      ),
    );
  }

  /** The server's clock, to the second. */
  async date(): Promise<number> {
    const command = new HeadBucketCommand({ Bucket: this.#bucket });
    let date: string | undefined;
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        date = (result.response as { headers?: Record<string, string> }).headers?.date;
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'holdfast-date' },
    );
    await this.#ask(`ask ${this.#place.description} for the time`, () =>
      this.#client.send(command, this.#sendOptions()),
    );
    const time = Date.parse(date ?? '');
    if (!Number.isNaN(time)) return time;
    throw unsound(
      `ask ${this.#place.description} for the time`,
      'Expected a date in the head of its answer, found none.',
    );
  }

  /** Whether the bucket keeps older versions. One whose versioning was suspended may still have some. */
  async versioning(): Promise<'on' | 'suspended' | 'off'> {
    const { Status } = await this.#ask('ask whether the bucket keeps versions', () =>
      this.#client.send(new GetBucketVersioningCommand({ Bucket: this.#bucket }), this.#sendOptions()),
    );
    if (Status === undefined) return 'off';
    return Status === 'Enabled' ? 'on' : 'suspended';
  }

  /** Whether the bucket can lock objects. */
  async canLock(): Promise<boolean> {
    const answer = await this.#ask('ask whether the bucket locks objects', () =>
      this.#client
        .send(new GetObjectLockConfigurationCommand({ Bucket: this.#bucket }), this.#sendOptions())
        .catch(absentFor('ObjectLockConfigurationNotFoundError', 'NoSuchObjectLockConfiguration')),
    );
    return answer?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
  }

  /** Until when a version is locked; `null` when it never was. */
  async lockedUntil(name: string, version: string): Promise<number | null> {
    const target = { Bucket: this.#bucket, Key: this.#prefix + name, VersionId: version };
    const answer = await this.#ask(`ask for the lock of object "${name}"`, () =>
      this.#client
        .send(new GetObjectRetentionCommand(target), this.#sendOptions())
        .catch(absentFor('NoSuchObjectLockConfiguration', 'ObjectLockConfigurationNotFoundError')),
    );
    return answer?.Retention?.RetainUntilDate?.getTime() ?? null;
  }

  /** Locks a version until a time, for everybody. */
  async lock(name: string, version: string, until: number): Promise<void> {
    const target = { Bucket: this.#bucket, Key: this.#prefix + name, VersionId: version };
    const retention = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(until) } as const;
    await this.#ask(
      `lock object "${name}"`,
      () => this.#client.send(new PutObjectRetentionCommand({ ...target, Retention: retention }), this.#sendOptions()),
      { isOfLock: true },
    );
  }

  async #receive(body: Readable, length: number, action: string): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    let at = 0;
    for await (const piece of body as AsyncIterable<Buffer>) {
      await this.#rate?.take(piece.length, this.#signal);
      if (at + piece.length <= length) piece.copy(bytes, at);
      at += piece.length;
    }
    if (at === length) return bytes;
    throw notWhole(action, length, at);
  }

  async #ask<Answer>(action: string, send: () => Promise<Answer>, asked?: { isOfLock: boolean }): Promise<Answer> {
    try {
      return await send();
    } catch (error) {
      throw this.#errorOf(error, action, asked);
    }
  }

  #sendOptions(also?: AbortSignal): { abortSignal?: AbortSignal } {
    const signals = [this.#signal, also].filter((signal) => signal !== undefined);
    return signals.length === 0 ? {} : { abortSignal: AbortSignal.any(signals) };
  }

  #startAfter(name: string): { StartAfter?: string } {
    return name === '' ? {} : { StartAfter: this.#prefix + name };
  }

  /** A key that begins otherwise than what was asked for was altered on its way. */
  #nameOf(key: string | undefined, prefix: string): string {
    if (key?.startsWith(this.#prefix + prefix) === true) return key.slice(this.#prefix.length);
    throw unsound(
      `list objects under "${prefix}"`,
      `Expected keys that begin with "${this.#prefix}${prefix}", found ${JSON.stringify(key)}.`,
    );
  }

  #versionsOf({ Versions = [], DeleteMarkers = [] }: ListObjectVersionsCommandOutput, prefix: string): S3Version[] {
    const both = [
      ...Versions.map((version) => ({ ...version, isMarker: false })),
      ...DeleteMarkers.map((marker) => ({ ...marker, Size: 0, isMarker: true })),
    ];
    return both.map(({ Key, VersionId, IsLatest, Size, LastModified, isMarker }) => ({
      ...{ name: this.#nameOf(Key, prefix), id: VersionId ?? 'null', isLatest: IsLatest === true, isMarker },
      ...{ size: Size ?? 0, modifiedAt: toSeconds(LastModified) },
    }));
  }

  #errorOf(error: unknown, action: string, asked?: { isOfLock: boolean }): Error {
    if (this.#signal?.aborted === true) {
      return new HoldfastError('INTERRUPTED', `interrupted: could not ${action}`, { cause: this.#signal.reason });
    }
    const made = s3ErrorOf(error, action, this.#place, asked);
    return codeOf(made) === 'STORE_CLOCK_SKEWED' && this.#agreesOnTime(error) ? clockMistaken(made, action) : made;
  }

  /** Whether an answer was given at the time that it is here, too. */
  #agreesOnTime(error: unknown): boolean {
    const { $response } = error as { $response?: { headers?: Record<string, string> } };
    return Math.abs(Date.parse($response?.headers?.date ?? '') - this.#clock.now()) < CLOCKS_APART_MS_MAX;
  }
}

function clockMistaken(refusal: Error, action: string): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: the server calls this host's clock wrong`, {
    detail:
      'Expected it to be right, as it agrees with the time of that very answer. The request may have been under way for long.',
    retryable: true,
    cause: refusal,
  });
}

export interface ConnectOptions {
  readonly location: S3Location;
  readonly description: string;
  readonly credentials?: StoreCredentials;
  readonly rate: RateLimit | null;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Makes what requests go through; nothing is sent yet. */
export async function connect(options: ConnectOptions): Promise<S3Connection> {
  return new S3Connection(await makeClient(options), options);
}

/** A listing may know fractions of a second that the head of an object does not have: one object has one time. */
function toSeconds(date: Date | undefined): number {
  return Math.floor((date?.getTime() ?? 0) / 1000) * 1000;
}

/** Turns refusals with these codes into nothing. */
function absentFor(...codes: string[]): (error: unknown) => undefined {
  return (error) => {
    if (codes.includes(s3CodeOf(error))) return undefined;
    throw error;
  };
}

/** What a 404 means: the key, or the version asked for, is not there. The bucket's absence has a code of its own. */
function isKeyAbsent(error: unknown): boolean {
  return ['NoSuchKey', 'NoSuchVersion'].includes(s3CodeOf(error));
}

/** How many bytes come, and how many the object has. A server that gives other bytes than it was asked for must not be believed. */
function announcedOf(
  contentLength: number | undefined,
  contentRange: string | undefined,
  range: ByteRange | undefined,
  action: string,
): { length: number; size: number } {
  if (contentLength === undefined) throw unsound(action, 'Expected it to name the length, found none.');
  if (range === undefined) return { length: contentLength, size: contentLength };
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? '');
  // Some servers answer a range that is the whole object as if none was asked for.
  if (match === null && range.offset === 0 && contentLength === range.length) {
    return { length: contentLength, size: contentLength };
  }
  if (match === null || Number(match[1]) !== range.offset || contentLength > range.length) {
    throw unsound(action, `Expected a range from ${range.offset} on, found ${contentRange ?? 'the whole object'}.`);
  }
  // An object that ends early has a range that ends early; one that is longer than what comes was cut on the way.
  const promised = Number(match[2]) - Number(match[1]) + 1;
  if (contentLength !== promised) throw notWhole(action, promised, contentLength);
  return { length: contentLength, size: Number(match[3]) };
}

function notWhole(action: string, expected: number, found: number): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: the answer is not whole`, {
    detail: `Expected ${expected} bytes, found ${found}.`,
    retryable: true,
  });
}

function unsound(action: string, detail: string): HoldfastError {
  return new HoldfastError(
    'STORE_FAILED',
    `could not ${action}: the server gives another answer than it was asked for`,
    {
      detail,
      hints: [
        'Try again: without TLS, bits of an answer may change on their way. If it comes again, this server, or a proxy before it, cannot be used.',
      ],
    },
  );
}

/** By where a request goes. Without TLS, or with authorities of one's own, anybody may answer under the name. */
export function isOfAmazon(protocol: string | undefined, hostname: string | undefined): boolean {
  return protocol === 'https:' && hostname !== undefined && /\.amazonaws\.com(\.cn)?$/.test(hostname);
}
