import { type Clock, formatBytes, formatDuration, HoldfastError } from '../../../lib/index.ts';
import { parseSegmentName } from '../../../postgres/index.ts';
import type { ObjectStore, Repository, SpoolEvent, SpooledStore, SpoolState } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { maxLsn, minLsn } from '../lsn-ranges.ts';
import { parseWalObjectName } from '../object-names.ts';
import type { Announcer } from './announcer.ts';
import { judgeOfSpool } from './compare-spool.ts';
import { isStoreAway } from './persistence.ts';

/** What a receiver does while the primary is away (rule C2). */
export interface ReceiverOutage {
  /** The primary of the receiver's repository. */
  readonly spool: SpooledStore;
  /**
   * `writes`: WAL is confirmed to the server once it is durable on this machine, so that the database never stops. `wal`: once it is durable in
   * the primary or in a required copy.
   */
  readonly protect: 'writes' | 'wal';
  /** The repository as copies and this machine have it, to begin with while the primary is away; without it a receiver waits for the primary then. */
  readonly standIn?: ObjectStore | null;
}

/** What a receiver goes by from when it prepares until it prepares again. */
export interface ReceiverView {
  readonly repository: Repository;
  /** It is what copies and this machine have: the primary may have more. */
  readonly isStandIn: boolean;
  /** Rejected with WAL_PRIMARY_BACK when the primary can be seen again, and all is to be compared with it. */
  readonly over: Promise<never>;
}

/** How often the spool is looked at while something waits there. */
const LOOK_MS = 10_000;
/** Less time than this until the spool is full is worth an alarm: long enough for a person to come. */
const FULL_SOON_SECONDS = 6 * 3600;

/** Knows what of the durable WAL lies on this machine alone, and tells of outages of the primary. */
export class OutageKeeper {
  readonly #outage: ReceiverOutage | null;
  readonly #repository: Repository;
  readonly #clock: Clock;
  readonly #announcer: Announcer;
  readonly #stop = new AbortController();
  readonly #unlisten: () => void;
  readonly #onFailure: (error: unknown) => void;
  #away: { lineage: string; lsn: bigint } | null = null;
  #looking: Promise<void> | null = null;
  #hasLooked = false;
  #view: PromiseWithResolvers<never> | null = null;

  constructor(options: {
    outage: ReceiverOutage | null;
    repository: Repository;
    clock: Clock;
    announcer: Announcer;
    /** More may be durable away than before. */
    onMoved: () => void;
    /** Told of what is no trouble of a store but a fault. */
    onFailure: (error: unknown) => void;
  }) {
    const { outage, repository, clock, announcer, onMoved, onFailure } = options;
    this.#onFailure = onFailure;
    this.#outage = outage;
    this.#repository = repository;
    this.#clock = clock;
    this.#announcer = announcer;
    outage?.spool.judgeBy(judgeOfSpool(repository));
    this.#unlisten =
      outage?.spool.listen((event) => (event.kind === 'moved' ? onMoved() : this.#hear(event))) ?? (() => {});
  }

  /** Finds out what can be seen now. Errors: those of a primary that answers and is no outage. */
  async look(): Promise<ReceiverView> {
    const [repository, outage] = [this.#repository, this.#outage];
    this.#view = Promise.withResolvers<never>();
    this.#view.promise.catch(() => {});
    const over = this.#view.promise;
    if (outage !== null) this.#hearOfBefore(outage.spool);
    if (outage === null || (await outage.spool.ready())) return { repository, isStandIn: false, over };
    const { standIn = null } = outage;
    // Without copies there is nothing to go by but the primary, which is asked until it answers.
    if (standIn === null) return { repository, isStandIn: false, over };
    return { repository: repository.inPlace(standIn), isStandIn: true, over };
  }

  /**
   * The end of the WAL that is durable in the primary or in a required copy, of what is durable at all up to `here`. It never goes back: what was safe
   * stays where it was while something waits here.
   */
  awayOf(lineage: LineageInventory, here: bigint): bigint {
    if (this.#outage === null) return here;
    const known = this.#away?.lineage === lineage.lineage ? this.#away.lsn : 0n;
    let end = here;
    for (const name of this.#outage.spool.onlyHere) {
      const start = startOf(name, lineage);
      if (start !== null) end = minLsn(end, start);
    }
    this.#away = { lineage: lineage.lineage, lsn: maxLsn(known, end) };
    return minLsn(this.#away.lsn, here);
  }

  /** What may be told to the server as flushed. */
  confirmable(lineage: LineageInventory, here: bigint): bigint {
    return this.#outage?.protect === 'wal' ? this.awayOf(lineage, here) : here;
  }

  async end(): Promise<void> {
    this.#unlisten();
    this.#stop.abort();
    await this.#looking;
  }

  /** An outage in which the repository was opened began before anybody listened. */
  #hearOfBefore({ awayBy, onlyHere }: SpooledStore): void {
    if (this.#hasLooked) return;
    this.#hasLooked = true;
    if (awayBy !== null) this.#hear({ kind: 'outage-began', error: awayBy });
    else if (onlyHere.length > 0) this.#looking ??= this.#lookOn();
  }

  #hear(event: Exclude<SpoolEvent, { kind: 'moved' }>): void {
    switch (event.kind) {
      case 'outage-began':
        this.#announcer.alarm({ alarm: 'store-away', error: primaryAway(event.error, this.#outage!.protect) });
        this.#looking ??= this.#lookOn();
        return;
      case 'outage-ended':
        this.#announcer.emit({ kind: 'recovered', alarm: 'store-away' });
        this.#view?.reject(primaryBack());
        return;
      case 'found':
        this.#looking ??= this.#lookOn();
        return;
      case 'failed':
        this.#onFailure(event.error);
        return;
      case 'conflict':
        this.#announcer.alarm({ alarm: 'damaged', objectName: event.name, error: spoolDiffers(event.name) });
    }
  }

  async #lookOn(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      // Where the spool does not say how it stands, whatever is to wait in it tells of that.
      if (!isStoreAway(error)) this.#onFailure(error);
    } finally {
      this.#looking = null;
    }
  }

  /** As long as something waits here. */
  async #look(): Promise<void> {
    for (;;) {
      const state = await this.#outage!.spool.state();
      this.#announcer.emit({ kind: 'spool', state });
      if (state.fullInSeconds !== null && state.fullInSeconds < FULL_SOON_SECONDS)
        this.#announcer.alarmOnce('spool', { alarm: 'spool', error: spoolFillsUp(state, state.fullInSeconds) });
      if ((state.awaySince === null && state.objects === 0) || this.#stop.signal.aborted) break;
      await this.#clock.sleep(LOOK_MS, this.#stop.signal);
    }
    if (this.#announcer.isOver('spool')) this.#announcer.emit({ kind: 'recovered', alarm: 'spool' });
  }
}

/** Where the WAL of an object begins, when it is of this lineage. */
function startOf(name: string, lineage: LineageInventory): bigint | null {
  const parsed = parseWalObjectName(name);
  if (parsed?.lineage !== lineage.lineage) return null;
  if (parsed.kind === 'fragment') return parsed.fragment.start;
  if (parsed.kind !== 'segment') return null;
  const { segmentBytes } = lineage.header;
  return parseSegmentName(parsed.segmentName, segmentBytes).number * BigInt(segmentBytes);
}

/** Of what was judged by copies and this machine alone. */
export function primaryBack(): HoldfastError {
  return new HoldfastError('WAL_PRIMARY_BACK', 'the primary is back: what it has is compared with the server', {
    detail: 'Until now the receiver went by what the copies and this machine have.',
    retryable: true,
  });
}

function primaryAway(cause: HoldfastError, protect: ReceiverOutage['protect']): HoldfastError {
  return new HoldfastError(
    'WAL_PRIMARY_AWAY',
    'could not store WAL in the primary: it is kept on this machine for now',
    {
      detail:
        protect === 'writes'
          ? `${cause.message}. WAL is confirmed to the server once it is durable here, as the plan has it: what lies here alone is lost if this machine is.`
          : `${cause.message}. WAL is confirmed to the server once a required copy has it, as the plan has it.`,
      hints: ['Mend the way to the primary; what waits is handed over by itself.', ...cause.hints],
      retryable: true,
      cause,
    },
  );
}

function spoolFillsUp({ bytes, budgetBytes }: SpoolState, seconds: number): HoldfastError {
  return new HoldfastError('WAL_SPOOL_FILLS_UP', 'could run out of room for WAL before the primary is back', {
    detail: `The spool on this machine holds ${formatBytes(bytes)} of ${formatBytes(budgetBytes)} and is full in ${formatDuration(seconds * 1000)} at the present rate. Then the server keeps its WAL itself.`,
    hints: ['Mend the way to the primary, or make a copy the primary.'],
    retryable: true,
  });
}

/** Of what waits here and the primary has otherwise. */
export function spoolDiffers(name: string): HoldfastError {
  return new HoldfastError(
    'WAL_SPOOL_DIFFERS',
    `cannot hand "${name}" over: the primary has other WAL under its name`,
    {
      detail: 'Both are kept: the one in the primary, and the one in the spool of this machine.',
      hints: ['Run `holdfast wal status` and take a new base backup.'],
    },
  );
}
