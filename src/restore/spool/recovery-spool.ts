import { chmod, chown, type FileHandle, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, codeOf } from '../../lib/index.ts';
import { restoreScript, SPOOL_DIRECTORY, spoolNames } from './restore-script.ts';

/** Who owns files that are made for a server; undefined leaves them to whoever runs us. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** How long the fetcher's heartbeat may stand still before recovery stops: far above any pause of a busy machine. */
export const FETCHER_SILENCE_SECONDS_MAX = 60;

/**
 * The folder inside a restored data directory from which PostgreSQL takes its WAL during recovery.
 *
 * Invariants: the plan is complete and on disk before any file is ready; a file is ready only when it is whole (it is renamed into place);
 * as long as a heartbeat file exists, files may come later, and without one the spool holds all that the plan names.
 */
export class RecoverySpool {
  readonly directory: string;
  readonly #owner: Owner | undefined;
  #beat = 0;
  #serial = 0;

  constructor(dataDirectory: string, owner?: Owner) {
    this.directory = join(dataDirectory, SPOOL_DIRECTORY);
    this.#owner = owner;
  }

  /** Makes the folder with script and plan. `fetched` says whether a fetcher will bring files while the server recovers. */
  async create(options: {
    files: readonly string[];
    fetched: boolean;
    fetcherSilenceSecondsMax?: number;
  }): Promise<void> {
    for (const directory of [this.directory, this.#path('ready'), this.#path('asked')]) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await chmod(directory, 0o700);
      if (this.#owner !== undefined) await chown(directory, this.#owner.uid, this.#owner.gid);
    }
    if (options.fetched) await this.beat();
    const script = restoreScript({
      fetcherSilenceSecondsMax: options.fetcherSilenceSecondsMax ?? FETCHER_SILENCE_SECONDS_MAX,
    });
    await this.#writeWhole(this.#path('script'), script);
    await this.#writeWhole(this.#path('plan'), options.files.map((name) => `${name}\n`).join(''));
    await syncDirectory(this.directory);
  }

  /**
   * Puts a file where the script finds it, once it is whole; durably when `sync` is asked for. Safe to repeat.
   * A reader that throws, or a signal that is aborted before the end, leaves nothing.
   */
  async place(
    name: string,
    content: { pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>; paddedBytes?: number | undefined },
    options: { sync: boolean; signal?: AbortSignal },
  ): Promise<void> {
    assert(/^[0-9A-F.a-z]+$/.test(name), 'a WAL file has a plain name');
    await this.#write(
      join(this.#path('ready'), name),
      async (file) => {
        for await (const piece of untilAborted(content.pieces, options.signal)) await file.writeFile(piece);
        if (content.paddedBytes !== undefined) await file.truncate(content.paddedBytes);
        options.signal?.throwIfAborted();
      },
      options.sync,
    );
  }

  /** Makes all placed files durable together with their names. */
  sync(): Promise<void> {
    return syncDirectory(this.#path('ready'));
  }

  /** Names of the files that are ready. */
  async listReady(): Promise<string[]> {
    return (await readdir(this.#path('ready'))).filter((name) => !name.includes('.unfinished-'));
  }

  /** Takes a ready file away, to save space; the script asks for it should it be wanted again. */
  remove(name: string): Promise<void> {
    return rm(join(this.#path('ready'), name), { force: true });
  }

  /** Names that were asked for since the last call. They come from the server's user, so a caller believes only those of its plan. */
  async takeAsked(): Promise<string[]> {
    const names = await readdir(this.#path('asked'));
    await Promise.all(names.map((name) => rm(join(this.#path('asked'), name), { force: true })));
    return names;
  }

  /** Shows the script that whoever fetches WAL is alive. */
  async beat(): Promise<void> {
    this.#beat += 1;
    await writeFile(this.#path('heartbeat'), `${this.#beat}\n`, { mode: 0o600 });
    if (this.#beat === 1) await this.#give(this.#path('heartbeat'));
  }

  /** Makes every further request for what is not ready end with `reason`, so that the server stops. */
  async fail(reason: string): Promise<void> {
    await this.#writeWhole(this.#path('error'), `${reason.replaceAll(/\s+/g, ' ')}\n`);
  }

  /** Removes what an earlier restore left, durably, save for ready files with these names; none of them was there before it was whole. */
  async clear(kept: ReadonlySet<string>): Promise<void> {
    if (kept.size === 0) return await this.dispose();
    for (const name of await namesIn(this.directory)) {
      if (name !== spoolNames.ready) await rm(join(this.directory, name), { recursive: true, force: true });
    }
    const ready = await namesIn(this.#path('ready'));
    for (const name of ready) {
      const path = join(this.#path('ready'), name);
      // Another server's user may own the directory by now.
      if (kept.has(name)) await this.#give(path);
      else await rm(path, { force: true });
    }
    if (ready.length > 0) await this.sync();
  }

  /** Removes the folder with all it holds, once the server no longer recovers. */
  dispose(): Promise<void> {
    return rm(this.directory, { recursive: true, force: true });
  }

  #path(what: keyof typeof spoolNames): string {
    return join(this.directory, spoolNames[what]);
  }

  #writeWhole(path: string, text: string): Promise<void> {
    return this.#write(path, (file) => file.writeFile(text), true);
  }

  /** Whole or not at all: under another name first. Each writing has its own, as a file may be placed twice at the same time. */
  async #write(path: string, fill: (file: FileHandle) => Promise<void>, sync: boolean): Promise<void> {
    this.#serial += 1;
    const unfinished = `${path}.unfinished-${this.#serial}`;
    try {
      await using file = await open(unfinished, 'w', 0o600);
      await fill(file);
      if (this.#owner !== undefined) await file.chown(this.#owner.uid, this.#owner.gid);
      if (sync) await file.sync();
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  async #give(path: string): Promise<void> {
    if (this.#owner !== undefined) await chown(path, this.#owner.uid, this.#owner.gid);
  }
}

/** What a directory holds; nothing when it is not there. */
async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The same pieces, until the signal is aborted, which ends the iteration also while the next piece is awaited in vain. */
async function* untilAborted<Piece>(
  pieces: AsyncIterable<Piece> | Iterable<Piece>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Piece, void> {
  if (signal === undefined) return yield* pieces;
  const iterator = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting when it happens.
  aborted.catch(() => {});
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const step = await Promise.race([iterator.next(), aborted]);
      if (step.done) return;
      yield step.value;
    }
  } finally {
    signal.removeEventListener('abort', abort);
    // Not awaited: a reader that hangs would never answer this either.
    void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } catch (error) {
    // Some systems cannot sync a directory and say so; there it is not needed. Every other failure means that names may be lost.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(codeOf(error) ?? '')) throw error;
  } finally {
    await directory.close();
  }
}
