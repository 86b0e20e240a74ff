import { createHash } from 'node:crypto';
import { type Clock, formatBytes, formatDuration, HoldfastError } from '../../../lib/index.ts';
import { parseSegmentName } from '../../../postgres/index.ts';
import {
  getBodyStream,
  type ObjectKind,
  type ObjectStore,
  type Repository,
  type SpoolEvent,
  type SpooledStore,
  type SpoolState,
} from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { maxLsn, minLsn } from '../lsn-ranges.ts';
import { parseWalObjectName } from '../object-names.ts';
import type { Announcer } from './announcer.ts';

/** What a receiver does while the primary is away (rule C2). */
export interface ReceiverOutage {
  /** The primary of the receiver's repository. */
  readonly spool: SpooledStore;
  /**
   * `writes`: WAL is confirmed to the server once it is durable on this machine, so that the database never stops. `wal`: once it is durable in
   * the primary or in a required copy.
   */
  readonly protect: 'writes' | 'wal';
}

/** How often the spool is looked at while something waits there. */
const LOOK_MS = 10_000;
/** Less time than this until the spool is full is worth an alarm: long enough for a person to come. */
const FULL_SOON_SECONDS = 6 * 3600;

const KINDS: Readonly<Record<string, ObjectKind>> = {
  segment: 'wal-segment',
  fragment: 'wal-fragment',
  history: 'timeline-history',
};

/** Knows what of the durable WAL lies on this machine alone, and tells of outages of the primary. */
export class OutageKeeper {
  readonly #outage: ReceiverOutage | null;
  readonly #repository: Repository;
  readonly #clock: Clock;
  readonly #announcer: Announcer;
  readonly #stop = new AbortController();
  readonly #unlisten: () => void;
  #away: { lineage: string; lsn: bigint } | null = null;
  #looking: Promise<void> | null = null;

  constructor(options: {
    outage: ReceiverOutage | null;
    repository: Repository;
    clock: Clock;
    announcer: Announcer;
    /** More may be durable away than before. */
    onMoved: () => void;
  }) {
    const { outage, repository, clock, announcer, onMoved } = options;
    this.#outage = outage;
    this.#repository = repository;
    this.#clock = clock;
    this.#announcer = announcer;
    outage?.spool.compareBy((name, one, other) => this.#isSameWal(name, one, other));
    this.#unlisten =
      outage?.spool.listen((event) => (event.kind === 'moved' ? onMoved() : this.#hear(event))) ?? (() => {});
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

  #hear(event: Exclude<SpoolEvent, { kind: 'moved' }>): void {
    switch (event.kind) {
      case 'outage-began':
        this.#announcer.alarm({ alarm: 'store-away', error: primaryAway(event.error, this.#outage!.protect) });
        this.#looking ??= this.#look();
        return;
      case 'outage-ended':
        this.#announcer.emit({ kind: 'recovered', alarm: 'store-away' });
        return;
      case 'conflict':
        this.#announcer.alarm({ alarm: 'damaged', objectName: event.name, error: spoolDiffers(event.name) });
    }
  }

  /** As long as something waits here. */
  async #look(): Promise<void> {
    for (;;) {
      const state = await this.#outage!.spool.state();
      this.#announcer.emit({ kind: 'spool', state });
      if (state.fullInSeconds !== null && state.fullInSeconds < FULL_SOON_SECONDS)
        this.#announcer.alarmOnce('spool', { alarm: 'budget', error: spoolFillsUp(state, state.fullInSeconds) });
      if ((state.awaySince === null && state.objects === 0) || this.#stop.signal.aborted) break;
      await this.#clock.sleep(LOOK_MS, this.#stop.signal);
    }
    if (this.#announcer.isOver('spool')) this.#announcer.emit({ kind: 'recovered', alarm: 'budget' });
    this.#looking = null;
  }

  /** Sealed twice, the same WAL has other bytes. The index of it is made from it, and either will do. */
  async #isSameWal(name: string, one: ObjectStore, other: ObjectStore): Promise<boolean> {
    const parsed = parseWalObjectName(name);
    if (parsed?.kind === 'landmarks') return true;
    const kind = parsed === null ? undefined : KINDS[parsed.kind];
    if (kind === undefined) return false;
    const [left, right] = await Promise.all(
      [one, other].map((store) => hashOf(this.#repository.inPlace(store), { kind, name })),
    );
    return left === right;
  }
}

async function hashOf(repository: Repository, place: { kind: ObjectKind; name: string }): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of getBodyStream(repository, place)) hash.update(piece);
  return hash.digest('hex');
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

function spoolDiffers(name: string): HoldfastError {
  return new HoldfastError(
    'WAL_SPOOL_DIFFERS',
    `cannot hand "${name}" over: the primary has other WAL under its name`,
    {
      detail: 'Both are kept: the one in the primary, and the one in the spool of this machine.',
      hints: ['Run `holdfast wal status` and take a new base backup.'],
    },
  );
}
