import { access as accessPath, constants, mkdir } from 'node:fs/promises';
import { assert, HoldfastError } from '../lib/index.ts';
import { PRIMARY, type ResolvedPlan } from '../plan/index.ts';
import type { ObjectStore, Repository, SpooledStore } from '../repository/index.ts';
import type { Access } from './command.ts';
import { CopyKeeper, SETTLE_BRIEFLY_MS_MAX } from './copy-keeper.ts';
import { askPassphrase, toCredential } from './credential.ts';
import { expectRepository } from './expect-repository.ts';
import { type OpenedPlaces, type Opener, openPlaceList, openPlaces, spoolDirectory } from './open-places.ts';
import type { PlaceTrouble } from './place-trouble.ts';
import type { Reporter } from './reporter.ts';
import { chooseStandIn } from './stand-in.ts';
import type { Surroundings } from './surroundings.ts';
import type { Terminal } from './terminal.ts';
import { describeHandingOver, handOverWaiting, showWaiting, type UnreadWal } from './waiting-wal.ts';
import { canKeepWalWithout, isAwayForNow, isWorthWaiting, openByCopies } from './without-primary.ts';

/** While no place answers, each is asked again after so long. */
const RETRY_MS = 15_000;

export interface OpeningOptions {
  readonly plan: ResolvedPlan;
  readonly surroundings: Surroundings;
  readonly reporter: Reporter;
  readonly trouble: PlaceTrouble;
  readonly terminal: Terminal | null;
  /** The one place that was asked for; otherwise all of them. */
  readonly from: string | undefined;
  /** Whether a command that would write is content with reading while the primary is away. */
  readonly readsWithoutPrimary: boolean;
  /** Whether it lives long enough to look for what copies lack besides what it puts itself. */
  readonly catchUp: boolean;
  /** Whether it goes on with WAL on this machine while the primary is away. */
  readonly keepsWal: boolean;
  /** Whether a copy may stand in for a primary that is away. */
  readonly writesToCopy: boolean;
  /** Whether copies get what it writes while it works. */
  readonly feedsCopies: boolean;
}

/** The repository of one command, with all of its places: opened once, and closed with everything that belongs to it. */
export class Opening {
  readonly #options: OpeningOptions;
  readonly #trouble: PlaceTrouble;
  #places: OpenedPlaces | null = null;
  #repository: Repository | null = null;
  #unread: UnreadWal | null = null;
  #takenIn: string | null = null;

  constructor(options: OpeningOptions) {
    this.#options = options;
    this.#trouble = options.trouble;
  }

  get repository(): Repository {
    assert(this.#repository !== null, 'a command uses a repository only if it declares so');
    return this.#repository;
  }

  /** For commands that write. */
  get copies(): CopyKeeper {
    const { surroundings, reporter } = this.#options;
    return new CopyKeeper({
      store: this.#places?.copied ?? null,
      clock: surroundings.clock,
      progress: reporter.progress,
    });
  }

  /** Where WAL waits while the primary is away; `null` for who does not keep it, and where the plan gains nothing by it. */
  get spool(): SpooledStore | null {
    return this.#places?.spool ?? null;
  }

  /** The same repository as copies and this machine have it, to begin with while the primary is away; `null` as `spool`, and without copies. */
  get standIn(): ObjectStore | null {
    return this.#places?.copied?.standIn ?? null;
  }

  /** WAL that waits on this machine and that the command cannot use; `null` when there is none, or one place was asked for. */
  get unreadWal(): UnreadWal | null {
    return this.#unread;
  }

  /** The copy that stands in for a primary that is away; `null` otherwise. */
  get takenIn(): string | null {
    return this.#takenIn;
  }

  /** What a document says of places that did not answer. */
  get troubleDocument(): PlaceTrouble['document'] {
    return this.#trouble.document;
  }

  /** Errors: those of `openPlaces` and `openRepository`; `REPOSITORY_PRIMARY_AWAY` for whoever must write to a primary that does not answer. */
  async open(access: 'read' | 'write'): Promise<Repository> {
    if (this.#repository !== null) return this.#repository;
    const { plan, surroundings, reporter, from } = this.#options;
    const { openRepository } = await import('../repository/index.ts');
    const scratchDirectory = await findScratchDirectory(plan.stateDirectory, access);
    const { tellRetry: onRetry } = this.#trouble;
    const opener = { ...surroundings, redaction: reporter.redaction, scratchDirectory, onRetry };
    const { catchUp, keepsWal, writesToCopy, feedsCopies } = this.#options;
    const away = access === 'write' ? await this.#findAway(opener) : null;
    if (away !== null && writesToCopy) return await this.#openInCopy(away, opener, scratchDirectory);
    // Who keeps WAL writes all the same.
    const usable = away !== null && !keepsWal ? 'read' : access;
    this.#places = await openPlaces(plan, opener, {
      ...{ access: usable, only: from, catchUp, keepsWal, feedsCopies },
      onEvent: this.#trouble.tell,
    });
    const options = {
      store: this.#places.store,
      credential: await this.#credential(),
      access: usable,
      clock: surroundings.clock,
      ...(scratchDirectory === null ? {} : { stateDirectory: scratchDirectory }),
    };
    this.#repository =
      away === null || usable === 'read'
        ? await openRepository(options)
        : await this.#openByCopies(away, (by) => openRepository({ ...options, ...by }));
    await this.#expect(this.#repository, access, away === null ? this.#places.primary : null);
    await this.#attendToWaiting(this.#repository);
    return this.#repository;
  }

  /** Before anything is written: whether it is the repository that was there before. One place that was asked for by its name is what it is. */
  async #expect(repository: Repository, access: 'read' | 'write', primary: ObjectStore | null): Promise<void> {
    const { plan, reporter, readsWithoutPrimary, from } = this.#options;
    if (from !== undefined) return;
    // Whoever is content with reading, such as a restore, must not be stopped by what this machine remembers.
    const writes = access === 'write' && !readsWithoutPrimary;
    await expectRepository(
      plan,
      { id: repository.id, description: repository.store.description, primary },
      { writes, reporter },
    );
  }

  /** A copy is to this run what the primary is to others; the other copies are its copies. */
  async #openInCopy(away: HoldfastError, opener: Opener, stateDirectory: string | null): Promise<Repository> {
    const { plan, surroundings, catchUp } = this.#options;
    const chosen = await chooseStandIn(plan, opener, {
      credential: await this.#credential(),
      clock: surroundings.clock,
      ...{ stateDirectory, catchUp, onEvent: this.#trouble.tell },
    });
    if ('error' in chosen)
      throw primaryAway('write to the repository, or to a copy in its place', chosen.error ?? away);
    this.#places = chosen.places;
    this.#repository = chosen.repository;
    this.#takenIn = chosen.name;
    await this.#expect(chosen.repository, 'write', null);
    return chosen.repository;
  }

  async #credential() {
    const { plan, terminal, reporter } = this.#options;
    const { credential } = plan.repository;
    assert(credential !== null || terminal !== null, 'a credential may be missing only where somebody can be asked');
    return credential === null
      ? await askPassphrase(terminal!, reporter.redaction)
      : toCredential(credential, reporter.redaction);
  }

  /** WAL that an outage left on this machine goes where it belongs before anything builds on what lies there, or is read from here. */
  async #attendToWaiting(repository: Repository): Promise<void> {
    const { plan, surroundings, keepsWal, reporter } = this.#options;
    const [directory, { waiting, copied, store }] = [spoolDirectory(plan), this.#places!];
    if (keepsWal) return;
    if (waiting !== null) this.#unread = await showWaiting({ repository, waiting, directory });
    else if (repository.access === 'write') {
      const primary = copied?.places[0]?.store ?? store;
      const tell = (count: number) => reporter.progress.note(describeHandingOver(count));
      this.#unread = await handOverWaiting({ repository, primary, directory, clock: surroundings.clock, tell });
    }
    if (this.#unread !== null) this.#trouble.tellWaiting(this.#unread);
  }

  /** Why the primary is away, for whoever goes on without it; `null` while it answers, and where there is no other place to go by. */
  async #findAway(opener: Parameters<typeof openPlaceList>[1]): Promise<HoldfastError | null> {
    const { plan, readsWithoutPrimary, keepsWal, writesToCopy } = this.#options;
    if (plan.repository.copies.length === 0) return null;
    // Whoever can go on without it need not wait for it.
    const patientWith = readsWithoutPrimary || keepsWal ? null : PRIMARY;
    const { whyAway } = await import('../repository/index.ts');
    const error = await whyAway((await openPlaceList(plan, opener, patientWith))[0]!.store);
    if (error === null) return null;
    const canGoOn =
      readsWithoutPrimary || (writesToCopy && isAwayForNow(error)) || (keepsWal && canKeepWalWithout(plan, error));
    if (!canGoOn) throw primaryAway('write to the repository', error);
    this.#trouble.tell({ kind: 'place-away', place: PRIMARY, error });
    return error;
  }

  /** As long as no copy answers either, whoever runs for long waits for one of the places; others end. */
  async #openByCopies(
    away: HoldfastError,
    open: (by: { roots?: ObjectStore }) => Promise<Repository>,
  ): Promise<Repository> {
    const { catchUp, surroundings, reporter } = this.#options;
    const { clock, signal } = surroundings;
    const { whyAway } = await import('../repository/index.ts');
    const { copied, spool } = this.#places!;
    let last: HoldfastError | null = null;
    for (let hasTold = false; ; hasTold = true) {
      try {
        return await openByCopies(this.#places!, away, open);
      } catch (error) {
        if (!(error instanceof HoldfastError) || !isWorthWaiting(error)) throw error;
        last = error;
      }
      if (!catchUp || signal.aborted) throw primaryAway('begin without the primary', last);
      if (!hasTold) reporter.progress.note(`no place answers, and it is tried again: ${last.message}`);
      await clock.sleep(RETRY_MS, signal);
      if (!spool!.isAway && (await whyAway(copied!.places[0]!.store)) === null) return open({});
    }
  }

  /** Gives copies a while for what a command wrote. */
  async settle(): Promise<void> {
    const isWriting = this.#repository !== null && this.#repository.access === 'write';
    if (isWriting && this.#options.catchUp) {
      await this.copies.settle(this.#options.surroundings.signal, SETTLE_BRIEFLY_MS_MAX);
    }
  }

  /** Safe to repeat. What required copies still lack is waited for, within bounds. */
  async close(): Promise<void> {
    const [repository, places] = [this.#repository, this.#places];
    this.#repository = null;
    this.#places = null;
    await repository?.close();
    await places?.close();
  }
}

/** `wish` completes "could not". */
export function primaryAway(wish: string, cause: HoldfastError): HoldfastError {
  return new HoldfastError('REPOSITORY_PRIMARY_AWAY', `could not ${wish}: the primary place is away`, {
    detail: [`${cause.message}.`, cause.detail ?? ''].join(' ').trim(),
    hints: [
      ...cause.hints,
      'Reading goes on from the copies: holdfast list, status, show, verify and restore need no primary.',
      'If the primary is lost, make a copy the primary in the plan: docs/guides/copies.md says how.',
    ],
    retryable: cause.retryable,
    cause,
  });
}

/**
 * The state directory, when temporary files can lie there. Who only reads need not have one, and in a disaster it may be gone: then the system's
 * own place for temporary files serves.
 */
async function findScratchDirectory(stateDirectory: string, access: Access): Promise<string | null> {
  try {
    if (access === 'write') await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    await accessPath(stateDirectory, constants.W_OK | constants.X_OK);
    return stateDirectory;
  } catch {
    // Whatever needs the directory itself, such as the ledger, tells what is wrong with it.
    return null;
  }
}
