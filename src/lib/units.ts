import { HoldfastError } from './errors.ts';

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, three significant digits at most: `512 B`, `1.46 GiB`, `85.1 MiB`. */
export function formatBytes(bytes: number | bigint): string {
  let value = Number(bytes);
  let unit = 0;
  // 999.5 is where rounding to whole numbers would print a fourth digit.
  while (Math.abs(value) >= (unit === 0 ? 1024 : 999.5) && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : threeDigits(value)} ${BYTE_UNITS[unit]}`;
}

/** Bytes in a second for people: `85.1 MiB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/** A number with its thousands apart: `1,234,567`. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US');
}

/** A count with its noun: `1 file`, `2,048 files`; `plural` where an s is not enough. */
export function formatQuantity(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${Number(count) === 1 ? noun : plural}`;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Milliseconds for people, two units at most: `340 ms`, `8.2 s`, `2 min 5 s`, `1 h 5 min`, `3 d 4 h`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE - 50) return `${(ms / SECOND).toFixed(1)} s`;
  if (Math.round(ms / SECOND) * SECOND < HOUR) return twoUnits(ms, MINUTE, 'min', SECOND, 's');
  if (Math.round(ms / MINUTE) * MINUTE < DAY) return twoUnits(ms, HOUR, 'h', MINUTE, 'min');
  return twoUnits(ms, DAY, 'd', HOUR, 'h');
}

/** A moment for people, in UTC to the second, with the zone named: `2026-11-23 05:02:19Z`. Takes milliseconds since 1970. */
export function formatMoment(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

/** The longest year, so that what is kept for years is never kept for less than the calendar's. */
const YEAR = 366 * DAY;

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: SECOND, min: MINUTE, m: MINUTE, h: HOUR, d: DAY },
  ...{ w: 7 * DAY, y: YEAR },
};

const EXACT_UNITS = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
  ['ms', 1],
] as const;

/** Whole milliseconds with nothing rounded, as a duration of people is written: `30m`, `43m 12s`, `7y`. For numbers that somebody compares. */
export function formatExactDuration(milliseconds: number): string {
  if (milliseconds > 0 && milliseconds % YEAR === 0) return `${milliseconds / YEAR}y`;
  const parts: string[] = [];
  let rest = Math.round(milliseconds);
  for (const [letter, ms] of EXACT_UNITS) {
    const count = Math.floor(rest / ms);
    if (count > 0) parts.push(`${count}${letter}`);
    rest -= count * ms;
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}

/**
 * Reads a duration and gives milliseconds.
 *
 * Shape:  a number with a unit (`250ms`, `1s`, `15m` or `15min`, `2h`, `30d`, `12w`, `7y`), or ISO 8601 without years and months (`PT15M`). A year has
 *         366 days.
 * Errors: DURATION_INVALID.
 */
export function parseDuration(text: string): number {
  const simple = /^(\d+(?:\.\d+)?) ?(ms|s|min|m|h|d|w|y)$/.exec(text);
  if (simple !== null) return Number(simple[1]) * DURATION_UNITS[simple[2]!]!;
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (iso?.slice(1).some((part) => part !== undefined)) {
    const [days, hours, minutes, seconds] = iso.slice(1).map((part) => Number(part ?? 0));
    return days! * DAY + hours! * HOUR + minutes! * MINUTE + seconds! * SECOND;
  }
  throw new HoldfastError('DURATION_INVALID', `invalid duration "${text}"`, {
    detail: 'Expected a number with a unit, or the ISO 8601 form without years and months.',
    hints: ['Write for example 250ms, 1s, 15m, 2h or PT15M.'],
  });
}

const BYTE_FACTORS: Readonly<Record<string, number>> = {
  ...{ '': 1, B: 1, K: 2 ** 10, KiB: 2 ** 10, M: 2 ** 20, MiB: 2 ** 20, G: 2 ** 30, GiB: 2 ** 30, T: 2 ** 40 },
  ...{ TiB: 2 ** 40, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 },
};

/**
 * Reads a number of bytes.
 *
 * Shape:  a number with a unit: `64MiB` and `64M` are powers of 1024, `64MB` of 1000, no unit is bytes.
 * Errors: BYTES_INVALID.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text);
  const factor = match === null ? undefined : BYTE_FACTORS[match[2]!];
  if (match === null || factor === undefined) {
    throw new HoldfastError('BYTES_INVALID', `invalid number of bytes "${text}"`, {
      detail: 'Expected a number with a unit such as KiB, MiB or GiB.',
      hints: ['Write for example 50MiB.'],
    });
  }
  return Math.round(Number(match[1]) * factor);
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  if (size < 9.995) return value.toFixed(2);
  return value.toFixed(size < 99.95 ? 1 : 0);
}

function twoUnits(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  // Rounded to the small unit first: otherwise 119.9 minutes would be printed as 1 h 60 min.
  const rounded = Math.round(ms / small) * small;
  const rest = (rounded % large) / small;
  return `${Math.floor(rounded / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}
