/**
 * What a plan says about keeping. A snapshot is kept when any of these keeps it; the plan's part gives the same members, resolved.
 *
 * Times are milliseconds, counts are whole numbers, 0 is none.
 */
export interface RetentionRules {
  /** Every snapshot that is not older; `null` for none. */
  readonly keepWithin: number | null;
  /** The newest snapshot of each of so many hours that have one; likewise of days, ISO weeks, months and years. */
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
  /** So many of the newest sound snapshots, however old they are. */
  readonly keepAtLeast: number;
  /** Snapshots that bear one of these tags. */
  readonly keepTags: readonly string[];
  /** IANA name of the zone in which the calendar is cut. */
  readonly timeZone: string;
  /** Every moment of so long ago up to now stays within reach of a restore; `null` for as long as `keepWithin`, or, without that, for what the newest snapshot leads to. */
  readonly wal: number | null;
}

/** The rules that go by the calendar, from the finest to the coarsest. */
export const CALENDAR_RULES = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

export type CalendarRule = (typeof CALENDAR_RULES)[number];
