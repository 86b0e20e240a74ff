import { formatBytes, formatDuration, GrowthMeter, HoldfastError } from '../../../lib/index.ts';
import { maxLsn } from '../lsn-ranges.ts';
import type { ServerSpace } from './server-space.ts';

/** The rate of growth is taken over so long: longer than a checkpoint's ups and downs, shorter than a disk takes to fill. */
const RATE_WINDOW_MS = 600_000;

/** An alarm is over when so much of the budget is free again: else it would come and go. */
const OVER_PART = 0.9;

/** What is known of the WAL on the server, for status and alarms. */
export interface JudgedSpace extends ServerSpace {
  readonly budgetBytes: number;
  readonly isOverBudget: boolean;
  /** Bytes in a second by which WAL on the server grows; `null` while that is not known, 0 when it does not grow. */
  readonly growthPerSecond: number | null;
  /** When the disk is full, and when the slot is invalidated, at this rate; `null` when that is not known or will not be. */
  readonly fullInSeconds: number | null;
  readonly lostInSeconds: number | null;
}

/** Holds what the server says against the budget, again and again. Pure but for what it remembers. */
export class SpaceJudge {
  readonly #budgetBytes: number;
  readonly #growth = new GrowthMeter(RATE_WINDOW_MS);
  #isOver = false;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** `nowMs` is of a monotonic clock. */
  judge(space: ServerSpace, nowMs: number): JudgedSpace {
    const bytes = maxLsn(space.slotBytes ?? 0n, space.walBytes ?? 0n);
    this.#growth.add(nowMs, bytes);
    const growthPerSecond = this.#growth.perSecond;
    const limit = this.#isOver ? this.#budgetBytes * OVER_PART : this.#budgetBytes;
    this.#isOver = Number(bytes) >= limit;
    const until = (room: bigint | null) =>
      room === null || growthPerSecond === null || growthPerSecond <= 0 ? null : Number(room) / growthPerSecond;
    return {
      ...space,
      budgetBytes: this.#budgetBytes,
      isOverBudget: this.#isOver,
      growthPerSecond,
      fullInSeconds: until(space.freeBytes),
      lostInSeconds: until(space.safeBytes),
    };
  }
}

/** The alarm for WAL above the budget. */
export function budgetAlarm(cluster: string, slot: string, space: JudgedSpace): HoldfastError {
  const { slotBytes, walBytes, budgetBytes } = space;
  const kept = maxLsn(slotBytes ?? 0n, walBytes ?? 0n);
  return new HoldfastError(
    'WAL_BUDGET_EXCEEDED',
    `the server of cluster "${cluster}" keeps ${formatBytes(kept)} of WAL, more than the budget of ${formatBytes(budgetBytes)}`,
    {
      detail: [
        `The slot "${slot}" holds back ${slotBytes === null ? 'an amount that it does not tell' : formatBytes(slotBytes)}` +
          `${walBytes === null ? '' : `, and pg_wal has ${formatBytes(walBytes)} in all`}.`,
        describeGrowth(space),
      ].join(' '),
      hints: [
        'Look at what holds WAL back: a store that is away, another slot, or an archiver that fails (pg_replication_slots, pg_stat_archiver).',
        'Raise wal.budget if the disk has room for more.',
      ],
    },
  );
}

/** The alarm for a slot that is about to lose WAL, or has lost it. */
export function slotEndangered(cluster: string, slot: string, space: JudgedSpace): HoldfastError {
  const isLost = space.slotStatus === 'lost';
  return new HoldfastError(
    'WAL_SLOT_ENDANGERED',
    isLost ? `the slot "${slot}" has lost WAL` : `the slot "${slot}" is about to lose WAL at the next checkpoint`,
    {
      detail:
        `It holds back more than max_slot_wal_keep_size allows (wal_status "${space.slotStatus}"). What is removed before it is stored is a gap: ` +
        `nothing of cluster "${cluster}" behind it can be restored until a new base backup is complete.`,
      hints: [
        'Mend what holds the receiver back, such as a store that is away, and raise max_slot_wal_keep_size meanwhile: a reload is enough.',
        ...(isLost ? ['Take a new base backup now.'] : []),
      ],
    },
  );
}

export function describeGrowth({ growthPerSecond, fullInSeconds, lostInSeconds, freeBytes }: JudgedSpace): string {
  const free = freeBytes === null ? '' : ` The disk has ${formatBytes(freeBytes)} free.`;
  if (growthPerSecond === null) return `How fast it grows is not known yet.${free}`;
  if (growthPerSecond === 0) return `It does not grow now.${free}`;
  const rate = `It grows by ${formatBytes(Math.round(growthPerSecond))} a second.${free}`;
  const full =
    fullInSeconds === null ? '' : ` At this rate the disk is full in ${formatDuration(fullInSeconds * 1000)}.`;
  const lost =
    lostInSeconds === null ? '' : ` At this rate the slot is invalidated in ${formatDuration(lostInSeconds * 1000)}.`;
  return `${rate}${full}${lost}`;
}
