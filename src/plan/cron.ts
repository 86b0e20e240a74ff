/** One line of cron, each field as the sorted numbers that it names. `weekdays` begin with Sunday as 0. */
export interface CronLine {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[];
  readonly months: readonly number[];
  readonly weekdays: readonly number[];
  /** False for a field that is `*` or begins with it: cron joins day and weekday by "or" only when both restrict. */
  readonly restrictsDay: boolean;
  readonly restrictsWeekday: boolean;
}

interface Field {
  readonly from: number;
  readonly to: number;
  readonly words?: readonly string[];
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields: readonly Field[] = [
  { from: 0, to: 59 },
  { from: 0, to: 23 },
  { from: 1, to: 31 },
  { from: 1, to: 12, words: months },
  // Sunday is 0 and 7.
  { from: 0, to: 7, words: weekdays },
];

/**
 * Reads the five fields of a line of cron: minute, hour, day of the month, month, day of the week. `null` for anything else.
 *
 * Shape:  each field is `*`, a number, a range `1-5`, or several with commas, each with a step `/15` where it is wanted; months and days of the week also
 *         by their first three letters.
 * Source: crontab(5) of Vixie cron.
 */
export function parseCron(text: string): CronLine | null {
  const words = text.trim().toLowerCase().split(/\s+/);
  if (words.length !== fields.length) return null;
  const read = words.map((word, index) => readField(word, fields[index]!));
  if (read.some((numbers) => numbers === null)) return null;
  const [minutes, hours, days, monthNumbers, weekdayNumbers] = read as number[][];
  return {
    ...{ minutes: minutes!, hours: hours!, days: days!, months: monthNumbers! },
    weekdays: sortedOnce(weekdayNumbers!.map((number) => number % 7)),
    restrictsDay: !words[2]!.startsWith('*'),
    restrictsWeekday: !words[4]!.startsWith('*'),
  };
}

function readField(word: string, field: Field): number[] | null {
  const numbers: number[] = [];
  for (const part of word.split(',')) {
    const match = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/.exec(part);
    if (match === null) return null;
    const [, first, last, step] = match;
    if (first === '*' && last !== undefined) return null;
    const from = first === '*' ? field.from : readNumber(first!, field);
    // A single number with a step, as in 5/15, means from there to the end.
    const end =
      first === '*' || (last === undefined && step !== undefined) ? field.to : readNumber(last ?? first!, field);
    const by = step === undefined ? 1 : Number(step);
    if (from === null || end === null || from > end || by < 1) return null;
    for (let number = from; number <= end; number += by) numbers.push(number);
  }
  return sortedOnce(numbers);
}

function readNumber(text: string, { from, to, words }: Field): number | null {
  const place = words?.indexOf(text) ?? -1;
  if (place >= 0) return words === months ? place + 1 : place;
  const number = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return number >= from && number <= to ? number : null;
}

function sortedOnce(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** True for a day of the calendar on which the line comes up. */
export function comesUpOn(line: CronLine, day: Date): boolean {
  if (!line.months.includes(day.getUTCMonth() + 1)) return false;
  const [isDay, isWeekday] = [line.days.includes(day.getUTCDate()), line.weekdays.includes(day.getUTCDay())];
  return line.restrictsDay && line.restrictsWeekday ? isDay || isWeekday : isDay && isWeekday;
}

const dayMs = 24 * 60 * 60 * 1000;
/** The calendar repeats its days and weekdays after 28 years, as long as no century without a leap year lies between: 2001 to 2028. */
const calendarStart = Date.UTC(2001, 0, 1);
const calendarDays = 28 * 365 + 7;

export function everComesUp(line: CronLine): boolean {
  for (let day = 0; day < calendarDays; day++) if (comesUpOn(line, dateOf(day))) return true;
  return false;
}

/** One of several lines that are read in different time zones. */
export interface ZonedLine {
  readonly line: CronLine;
  /** How far the clocks of its zone are ahead of UTC. */
  readonly aheadMinutes: number;
}

const dayMinutes = 24 * 60;

/** The longest time in milliseconds in which none of some lines comes up, of which each does at some time; clocks are never changed. */
export function longestCronGapMs(lines: readonly ZonedLine[]): number {
  // Midnight of a zone is another time of the day in UTC, so that a day of UTC has moments of up to three days of the zone.
  const parts = lines.flatMap((zoned) =>
    [-1, 0, 1].map((shift) => ({ ...zoned, shift, minutes: minutesOf(zoned, shift) })),
  );
  const days = new Map<string, { first: number; last: number; within: number } | null>();
  let [longest, begin, previous] = [0, Number.NaN, Number.NaN];
  for (let day = 0; day < calendarDays; day++) {
    const dates = [dateOf(day - 1), dateOf(day), dateOf(day + 1)] as const;
    const coming = parts.filter(({ line, shift }) => comesUpOn(line, dates[shift + 1]!));
    const key = coming.map((part) => parts.indexOf(part)).join();
    if (!days.has(key)) days.set(key, joinMinutes(coming.map(({ minutes }) => minutes)));
    const joined = days.get(key)!;
    if (joined === null) continue;
    const { first, last, within } = joined;
    longest = Math.max(longest, within);
    if (Number.isNaN(begin)) begin = day * dayMinutes + first;
    else longest = Math.max(longest, day * dayMinutes + first - previous);
    previous = day * dayMinutes + last;
  }
  // The calendar begins anew after its end.
  return Math.max(longest, begin + calendarDays * dayMinutes - previous) * 60_000;
}

/** On which minutes of a day of UTC a line comes up by its own day that is so many after it. */
function minutesOf({ line, aheadMinutes }: ZonedLine, shift: number): number[] {
  return line.hours
    .flatMap((hour) => line.minutes.map((minute) => hour * 60 + minute + shift * dayMinutes - aheadMinutes))
    .filter((minute) => minute >= 0 && minute < dayMinutes);
}

/** The first and the last minute, and the longest time between two of them; `null` when there are none. */
function joinMinutes(lists: readonly (readonly number[])[]): { first: number; last: number; within: number } | null {
  const minutes = sortedOnce(lists.flat());
  const [first, last] = [minutes[0], minutes.at(-1)];
  if (first === undefined || last === undefined) return null;
  return { first, last, within: Math.max(0, ...minutes.slice(1).map((minute, index) => minute - minutes[index]!)) };
}

function dateOf(day: number): Date {
  return new Date(calendarStart + day * dayMs);
}
