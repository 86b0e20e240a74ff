import { HoldfastError } from '../../lib/index.ts';
import type { CalendarRule } from './rules.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Zones change their offset at whole quarters of an hour of UTC only. */
const QUARTER_MS = 15 * MINUTE_MS;
const YEAR_DIGITS = 4;

/** Cuts time into hours, days, weeks, months and years as the clock on the wall of a zone does. Moments are milliseconds since 1970. */
export class Calendar {
  readonly #format: Intl.DateTimeFormat;
  readonly #offsets = new Map<number, number>();

  /** The calendar of a zone by its IANA name; each is made once, as asking the runtime about a zone is dear. Errors: `TIME_ZONE_UNRECOGNIZED`. */
  static of(timeZone: string): Calendar {
    const calendar = calendars.get(timeZone) ?? new Calendar(timeZone);
    calendars.set(timeZone, calendar);
    return calendar;
  }

  private constructor(timeZone: string) {
    try {
      this.#format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset', year: 'numeric' });
    } catch (cause) {
      throw new HoldfastError('TIME_ZONE_UNRECOGNIZED', `unrecognized time zone "${timeZone}"`, {
        detail: 'Expected the name of a zone in the IANA database.',
        hints: ['Write for example UTC, Europe/Berlin or America/New_York.'],
        cause,
      });
    }
  }

  /** The bucket that a moment lies in, by its name for people. Names of one rule sort as their times do, but for the two hours of a night in autumn. */
  bucketOf(rule: CalendarRule, moment: number): string {
    const offset = this.offsetAt(moment);
    const local = new Date(moment + offset);
    switch (rule) {
      case 'hourly':
        // With the offset, as the same hour comes twice in the night in which the clock is put back.
        return `${local.toISOString().slice(0, 13).replace('T', ' ')}:00${formatOffset(offset)}`;
      case 'daily':
        return local.toISOString().slice(0, 10);
      case 'weekly':
        return weekOf(local);
      case 'monthly':
        return local.toISOString().slice(0, 7);
      case 'yearly':
        return local.toISOString().slice(0, YEAR_DIGITS);
    }
  }

  /** How far the zone's clock is ahead of UTC at a moment, in milliseconds. */
  offsetAt(moment: number): number {
    const midnight = moment - modulo(moment, DAY_MS);
    const offset = this.#ask(midnight);
    // Asking is dear, and no zone changes twice in a day: where both ends of it agree, so does all between.
    return offset === this.#ask(midnight + DAY_MS) ? offset : this.#ask(moment - modulo(moment, QUARTER_MS));
  }

  #ask(moment: number): number {
    const known = this.#offsets.get(moment);
    if (known !== undefined) return known;
    const offset = parseOffset(this.#format.format(moment));
    this.#offsets.set(moment, offset);
    return offset;
  }
}

/** By zone, of which a plan has few. */
const calendars = new Map<string, Calendar>();

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

/** The week from Monday to Sunday, as ISO 8601 counts it: it belongs to the year that has its Thursday. */
function weekOf(local: Date): string {
  const daysSinceMonday = (local.getUTCDay() + 6) % 7;
  const thursday = new Date(local.getTime() + (3 - daysSinceMonday) * DAY_MS);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / DAY_MS / 7) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

/** Reads the end of `2026, GMT+05:30`, or of `2026, GMT`, which is UTC. */
function parseOffset(text: string): number {
  const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
  const [, sign, hours, minutes, seconds] = match ?? [];
  if (sign === undefined) return 0;
  const ms = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds ?? 0)) * 1000;
  return sign === '-' ? -ms : ms;
}

function formatOffset(offset: number): string {
  const minutes = Math.round(Math.abs(offset) / MINUTE_MS);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return `${offset < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(rest).padStart(2, '0')}`;
}
