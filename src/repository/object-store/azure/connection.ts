import type { Readable } from 'node:stream';
import type { ContainerClient, ContainerListBlobFlatSegmentResponse } from '@azure/storage-blob';
import { type Clock, codeOf, HoldfastError, type Secret } from '../../../lib/index.ts';
import { makeAgents } from '../agents.ts';
import { type ByteRange, storeErrorOf } from '../basics/index.ts';
import type { RateLimit } from '../rate-limit.ts';
import type { ObjectEntry, PutOutcome } from '../store.ts';
import type { Upload } from '../upload.ts';
import type { AzureAccess } from './access.ts';
import { azureCodeOf, azureErrorOf, statusOf } from './errors.ts';
import type { AzureLocation } from './location.ts';
import { endingInSilence, type Watched } from './silence.ts';

/** The package that speaks with Azure, as package.json names it among the optional peers. */
const DRIVER = '@azure/storage-blob';

/** More than any blob has. A range is asked for even of a whole blob, as the answer to one says how much there is in all. */
const ALL_BYTES = 2 ** 40;

/** One page of a listing; `next` is `undefined` on the last one. */
interface ListedPage {
  readonly entries: readonly ObjectEntry[];
  readonly next: string | undefined;
}

export interface ConnectOptions {
  readonly location: AzureLocation;
  readonly description: string;
  readonly access: AzureAccess;
  readonly clock: Clock;
  readonly rate: RateLimit | null;
  readonly signal?: AbortSignal;
}

/**
 * Requests to one container, each once: repeating is the business of who asks. Names are those of objects, to which the prefix of the place is
 * put here and from which it is taken again.
 *
 * Errors: the store's codes (`errors.ts`); what is absent is `null`.
 */
export class AzureConnection {
  readonly #container: ContainerClient;
  readonly #options: ConnectOptions;
  readonly #prefix: string;
  #keepsVersions = false;

  constructor(container: ContainerClient, options: ConnectOptions) {
    this.#container = container;
    this.#options = options;
    this.#prefix = options.location.prefix;
  }

  /** Whether an answer to a put has named the version that it became. */
  get keepsVersions(): boolean {
    return this.#keepsVersions;
  }

  /** Stores a blob in one request, held by the server against its MD5; with `onlyNew` only if the name is free. */
  async put(name: string, upload: Upload, options: { onlyNew: boolean }): Promise<PutOutcome> {
    const body = upload.open();
    const broken = new AbortController();
    if (!Buffer.isBuffer(body)) body.once('error', (error) => broken.abort(error));
    const blob = this.#container.getBlockBlobClient(this.#prefix + name);
    try {
      const answer = await this.#watch(`write object "${name}"`, ({ signal, heard }) =>
        blob.upload(Buffer.isBuffer(body) ? body : () => body, upload.size, {
          abortSignal: AbortSignal.any([signal, broken.signal]),
          onProgress: heard,
          transactionalContentMD5: upload.digest,
          ...(options.onlyNew ? { conditions: { ifNoneMatch: '*' } } : {}),
        }),
      );
      if (answer.etag === undefined || answer.lastModified === undefined) {
        throw unsound(`write object "${name}"`, 'Expected the tag of what was stored, found none.');
      }
      this.#keepsVersions ||= answer.versionId !== undefined;
      return 'created';
    } catch (error) {
      if (options.onlyNew && (isTaken(error) || (await this.#isKeptFromUs(error, name)))) return 'exists';
      const cause = broken.signal.aborted ? storeErrorOf(broken.signal.reason, 'read a spool file') : error;
      throw this.#errorOf(cause, `write object "${name}"`);
    } finally {
      if (!Buffer.isBuffer(body)) body.destroy();
    }
  }

  /** Reads a blob, or a range of it as far as it goes; `null` when absent. */
  async get(name: string, range: ByteRange = { offset: 0, length: ALL_BYTES }): Promise<Buffer | null> {
    const action = `read object "${name}"`;
    const { offset, length } = range;
    try {
      return await this.#watch(action, async (watched) => {
        const answer = await this.#container
          .getBlobClient(this.#prefix + name)
          .download(offset, length, { abortSignal: watched.signal, maxRetryRequests: 0 });
        const body = answer.readableStreamBody as Readable;
        const expected = partOf(answer.contentRange, range);
        if (expected !== undefined && expected === answer.contentLength)
          return this.#receive(body, expected, action, watched);
        body.destroy();
        // No range of an empty blob can be named.
        if (answer.contentLength === 0 && (await this.head(name))?.size === 0) return Buffer.alloc(0);
        const told = answer.contentRange ?? 'no range';
        throw notWhole(action, `Expected the bytes asked for, found ${answer.contentLength} announced, of "${told}".`);
      });
    } catch (error) {
      if (isBlobAbsent(error)) return null;
      if (statusOf(error) === 416) return Buffer.alloc(0);
      throw this.#errorOf(error, action);
    }
  }

  /** Size and date of a blob; `null` when absent. */
  async head(name: string): Promise<Omit<ObjectEntry, 'name'> | null> {
    const action = `look at object "${name}"`;
    try {
      const found = await this.#watch(action, ({ signal }) =>
        this.#container.getBlobClient(this.#prefix + name).getProperties({ abortSignal: signal }),
      );
      const { contentLength, lastModified } = found;
      if (contentLength === undefined || lastModified === undefined) {
        throw unsound(action, 'Expected its size and its date, found an answer without them.');
      }
      return { size: contentLength, modifiedAt: lastModified.getTime() };
    } catch (error) {
      if (isBlobAbsent(error)) return null;
      // An answer to HEAD has no words; those of the same refusal of a byte say what it is about.
      if (statusOf(error) === 403) await this.get(name, { offset: 0, length: 1 });
      throw this.#errorOf(error, action);
    }
  }

  /** All blobs with a prefix from `startFrom` on, which is included, in pages. */
  async *list(prefix: string, startFrom: string, pageSize: number): AsyncGenerator<readonly ObjectEntry[], void> {
    let marker: string | undefined;
    do {
      const page = await this.#listPage(prefix, startFrom, { marker, pageSize });
      yield page.entries;
      marker = page.next;
    } while (marker !== undefined);
  }

  async delete(name: string): Promise<void> {
    const action = `delete object "${name}"`;
    try {
      await this.#watch(action, ({ signal }) =>
        this.#container.getBlobClient(this.#prefix + name).delete({ abortSignal: signal }),
      );
    } catch (error) {
      if (!isBlobAbsent(error)) throw this.#errorOf(error, action);
    }
  }

  /** The server's clock, to the second, from the answer to the smallest listing: no right is needed but that to list. */
  async date(): Promise<number> {
    const action = `ask ${this.#options.description} for the time`;
    const { date } = await this.#ask(action, ({ signal }) =>
      this.#container.listBlobsFlat({ prefix: this.#prefix, abortSignal: signal }).byPage({ maxPageSize: 1 }).next(),
    ).then(({ value }) => value as { date?: Date });
    if (date !== undefined && !Number.isNaN(date.getTime())) return date.getTime();
    throw unsound(action, 'Expected a date in the head of its answer, found none.');
  }

  async #listPage(
    prefix: string,
    startFrom: string,
    { marker, pageSize }: { marker: string | undefined; pageSize: number },
  ): Promise<ListedPage> {
    const answer = await this.#ask(`list objects under "${prefix}"`, ({ signal }) =>
      this.#container
        .listBlobsFlat({
          ...{ prefix: this.#prefix + prefix, abortSignal: signal, responseFormat: 'Xml' },
          ...(startFrom === '' ? {} : { startFrom: this.#prefix + startFrom }),
        })
        .byPage({ maxPageSize: pageSize, ...(marker === undefined ? {} : { continuationToken: marker }) })
        .next(),
    );
    const page = answer.value as ContainerListBlobFlatSegmentResponse;
    const entries = page.segment.blobItems.map(({ name, properties }) => ({
      name: this.#nameOf(name, prefix),
      size: properties.contentLength ?? 0,
      modifiedAt: properties.lastModified.getTime(),
    }));
    return { entries, next: page.continuationToken === '' ? undefined : page.continuationToken };
  }

  async #receive(body: Readable, length: number, action: string, { heard }: Watched): Promise<Buffer> {
    const { rate, signal } = this.#options;
    const bytes = Buffer.allocUnsafe(length);
    let at = 0;
    for await (const piece of body as AsyncIterable<Buffer>) {
      heard();
      await rate?.take(piece.length, signal);
      if (at + piece.length <= length) piece.copy(bytes, at);
      at += piece.length;
    }
    if (at === length) return bytes;
    throw notWhole(action, `Expected ${length} bytes, found ${at}.`);
  }

  async #ask<Answer>(action: string, send: (watched: Watched) => Promise<Answer>): Promise<Answer> {
    try {
      return await this.#watch(action, send);
    } catch (error) {
      throw this.#errorOf(error, action);
    }
  }

  /** Who may create and not overwrite is told of a lack of rights by some servers, where others say that the name is taken. */
  async #isKeptFromUs(error: unknown, name: string): Promise<boolean> {
    if (azureCodeOf(error) !== 'AuthorizationPermissionMismatch') return false;
    // Who may not even look is told of the first refusal.
    return (await this.head(name).catch(() => null)) !== null;
  }

  #watch<Answer>(action: string, send: (watched: Watched) => Promise<Answer>): Promise<Answer> {
    const { clock, signal } = this.#options;
    return endingInSilence(clock, { action, signal }, send);
  }

  #nameOf(name: string, prefix: string): string {
    if (name.startsWith(this.#prefix + prefix)) return name.slice(this.#prefix.length);
    throw unsound(
      `list objects under "${prefix}"`,
      'Expected names with the prefix that was asked for, found another.',
    );
  }

  #errorOf(error: unknown, action: string): Error {
    const { location, description, clock, signal, access } = this.#options;
    if (signal?.aborted === true) {
      return new HoldfastError('INTERRUPTED', `interrupted: could not ${action}`, { cause: signal.reason });
    }
    const { account, container } = location;
    const expiresAt = access.credentials.kind === 'sas' ? endOfToken(access.credentials.token) : undefined;
    return azureErrorOf(error, action, { account, container, description, now: clock.now(), expiresAt });
  }
}

/** Makes what requests go through; nothing is sent yet. Errors: `STORE_DRIVER_ABSENT`; `STORE_CREDENTIALS_REJECTED` for a key that is none. */
export async function connect(options: ConnectOptions): Promise<AzureConnection> {
  const azure = await loadDriver();
  const { location, access } = options;
  const { httpAgent, httpsAgent } = await makeAgents(location);
  const { credentials, endpoint } = access;
  const pipeline = azure.newPipeline(
    credentials.kind === 'sas'
      ? new azure.AnonymousCredential()
      : new azure.StorageSharedKeyCredential(location.account, credentials.key.reveal()),
    // The store around this one repeats, with one budget for everything.
    { retryOptions: { maxTries: 1 } },
  );
  // Ours go before those that the SDK makes from variables of the environment.
  pipeline.factories.push({
    create: (next) => ({
      sendRequest: (request) => {
        request.agent = (request.url.startsWith('https:') ? httpsAgent : httpAgent) as NonNullable<
          typeof request.agent
        >;
        return next.sendRequest(request);
      },
    }),
  });
  const url = new URL(`${endpoint.href.replace(/\/$/, '')}/${location.container}`);
  if (credentials.kind === 'sas') url.search = credentials.token.reveal();
  return new AzureConnection(new azure.ContainerClient(url.href, pipeline), options);
}

async function loadDriver(): Promise<typeof import('@azure/storage-blob')> {
  try {
    return await import(DRIVER);
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new HoldfastError(
      'STORE_DRIVER_ABSENT',
      'cannot reach a repository in Azure: the package that speaks with it is missing',
      {
        detail: `Expected "${DRIVER}" beside holdfast, found none; it is installed by those who need it only.`,
        hints: ['Run `npm install @azure/storage-blob@12` where holdfast is installed, with --global if holdfast is.'],
        cause: error,
      },
    );
  }
}

/** The end of a shared access signature, in milliseconds since 1970; its text says so. */
function endOfToken(token: Secret): number | undefined {
  const end = Date.parse(new URLSearchParams(token.reveal()).get('se') ?? '');
  return Number.isNaN(end) ? undefined : end;
}

/** What a put on a name says that is taken; the last one to whoever may create and not overwrite. */
function isTaken(error: unknown): boolean {
  return ['BlobAlreadyExists', 'ConditionNotMet', 'UnauthorizedBlobOverwrite'].includes(azureCodeOf(error));
}

/** The container's absence has a code of its own. */
function isBlobAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && azureCodeOf(error) === 'BlobNotFound';
}

/** How many bytes of a range an answer has to bring by what it says itself; `undefined` when it says nothing that can be. */
function partOf(contentRange: string | undefined, { offset, length }: ByteRange): number | undefined {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? '') ?? [];
  return Number(first) === offset ? Math.min(length, Number(total) - offset) : undefined;
}

function notWhole(action: string, detail: string): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: the answer is not whole`, {
    detail,
    retryable: true,
    hints: ['If it stays so, look for a gateway or a cache between here and the store.'],
  });
}

function unsound(action: string, detail: string): HoldfastError {
  return new HoldfastError('STORE_FAILED', `could not ${action}: the answer makes no sense`, {
    detail,
    hints: ['The endpoint does not seem to be one of Azure Blob Storage.'],
  });
}
