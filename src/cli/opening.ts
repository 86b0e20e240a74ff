import { access as accessPath, constants, mkdir } from 'node:fs/promises';
import { assert, HoldfastError } from '../lib/index.ts';
import { PRIMARY, type ResolvedPlan } from '../plan/index.ts';
import type { Repository, SpooledStore } from '../repository/index.ts';
import type { Access } from './command.ts';
import { CopyKeeper, SETTLE_BRIEFLY_MS_MAX } from './copy-keeper.ts';
import { askPassphrase, toCredential } from './credential.ts';
import { type OpenedPlaces, openPlaceList, openPlaces, spoolDirectory } from './open-places.ts';
import { PlaceTrouble } from './place-trouble.ts';
import type { Reporter } from './reporter.ts';
import type { Surroundings } from './surroundings.ts';
import type { Terminal } from './terminal.ts';

export interface OpeningOptions {
  readonly plan: ResolvedPlan;
  readonly surroundings: Surroundings;
  readonly reporter: Reporter;
  readonly terminal: Terminal | null;
  /** The one place that was asked for; otherwise all of them. */
  readonly from: string | undefined;
  /** Whether a command that would write is content with reading while the primary is away. */
  readonly readsWithoutPrimary: boolean;
  /** Whether it lives long enough to look for what copies lack besides what it puts itself. */
  readonly catchUp: boolean;
  /** Whether it goes on with WAL on this machine while the primary is away. */
  readonly keepsWal: boolean;
}

/** The repository of one command, with all of its places: opened once, and closed with everything that belongs to it. */
export class Opening {
  readonly #options: OpeningOptions;
  readonly #trouble: PlaceTrouble;
  #places: OpenedPlaces | null = null;
  #repository: Repository | null = null;

  constructor(options: OpeningOptions) {
    this.#options = options;
    this.#trouble = new PlaceTrouble(options.reporter);
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

  /** What a document says of places that did not answer. */
  get troubleDocument(): PlaceTrouble['document'] {
    return this.#trouble.document;
  }

  /** Errors: those of `openPlaces` and `openRepository`; `REPOSITORY_PRIMARY_AWAY` for whoever must write to a primary that does not answer. */
  async open(access: 'read' | 'write'): Promise<Repository> {
    if (this.#repository !== null) return this.#repository;
    const { plan, surroundings, reporter, terminal, from } = this.#options;
    const { openRepository } = await import('../repository/index.ts');
    const scratchDirectory = await findScratchDirectory(plan.stateDirectory, access);
    const opener = { ...surroundings, redaction: reporter.redaction, scratchDirectory };
    const usable = access === 'write' ? await this.#chooseAccess(opener) : 'read';
    const { catchUp, keepsWal } = this.#options;
    this.#places = await openPlaces(plan, opener, {
      ...{ access: usable, only: from, catchUp, keepsWal },
      onEvent: this.#trouble.tell,
    });
    const { credential } = plan.repository;
    assert(credential !== null || terminal !== null, 'a credential may be missing only where somebody can be asked');
    this.#repository = await openRepository({
      store: this.#places.store,
      credential:
        credential === null
          ? await askPassphrase(terminal!, reporter.redaction)
          : toCredential(credential, reporter.redaction),
      access: usable,
      clock: surroundings.clock,
      ...(scratchDirectory === null ? {} : { stateDirectory: scratchDirectory }),
    });
    if (!keepsWal) await this.#tellWaiting(this.#repository.id);
    return this.#repository;
  }

  /** What waits here is in no place yet: whoever restores now does so without it, and may never hear of it. */
  async #tellWaiting(repositoryId: string): Promise<void> {
    const { countSpooled } = await import('../repository/index.ts');
    const count = await countSpooled(spoolDirectory(this.#options.plan), repositoryId);
    if (count > 0) this.#trouble.tellWaiting(count, spoolDirectory(this.#options.plan));
  }

  /** Reading only, where that will do and the primary is away. */
  async #chooseAccess(opener: Parameters<typeof openPlaceList>[1]): Promise<'read' | 'write'> {
    const { copies } = this.#options.plan.repository;
    if (copies.length === 0) return 'write';
    // Whoever can go on by reading need not wait for it.
    const patientWith = this.#options.readsWithoutPrimary ? null : PRIMARY;
    const { whyAway } = await import('../repository/index.ts');
    const error = await whyAway((await openPlaceList(this.#options.plan, opener, patientWith))[0]!.store);
    if (error === null) return 'write';
    if (!this.#options.readsWithoutPrimary) throw primaryAway('write to the repository', error);
    this.#trouble.tell({ kind: 'place-away', place: PRIMARY, error });
    return 'read';
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
