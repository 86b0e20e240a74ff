import { HoldfastError } from '../lib/index.ts';
import { formatLsn, formatTimestamp, parseLsn, type Timestamp } from '../postgres/index.ts';

/** The moment that a restore shall bring back, as the user names it. */
export type RecoveryTarget =
  /** The end of what is kept. */
  | { readonly kind: 'latest' }
  /** As soon as the base backup is consistent. */
  | { readonly kind: 'immediate' }
  | { readonly kind: 'time'; readonly at: Timestamp }
  /** With the record that begins there. */
  | { readonly kind: 'lsn'; readonly lsn: bigint }
  /** Without it: what a commit did is not there when its position is named. */
  | { readonly kind: 'before'; readonly lsn: bigint }
  /** With this transaction. `xid` has 32 bits, as rows and WAL have it; the epoch, how often the numbers have come round, is null when not named. */
  | { readonly kind: 'xid'; readonly xid: number; readonly epoch: bigint | null }
  /** A restore point that somebody made with `pg_create_restore_point`. */
  | { readonly kind: 'name'; readonly name: string };

const EPOCH = 1n << 32n;
/** Lower numbers are not given to transactions. */
const XID_MIN = 3n;
/** A name takes so many bytes in the record at most. */
const NAME_BYTES_MAX = 63;

const PREFIXED = /^(before|xid|name):(.*)$/is;
const XID = /^(?:(\d{1,10}):)?(\d{1,20})$/;
const LSN_LIKE = /^[0-9A-Fa-f]*\/[0-9A-Fa-f]*$/;
const TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6}))?)?)?(?: ?(Z|UTC|[+-]\d{2}(?::?\d{2})?))?$/i;

const MICROSECONDS_PER_MILLISECOND = 1000n;
const MINUTES_PER_DAY = 1440;
/** The widest offset from UTC that PostgreSQL reads. */
const OFFSET_MINUTES_MAX = 15 * 60 + 59;

/**
 * Reads the target of a restore as a person types it.
 *
 * Shape:  `latest` · `immediate` · an LSN such as `16/B374D848`, or `before:` and one · a time in ISO 8601 with `Z` or an offset, `T` or a
 *         space between date and time, seconds and up to six digits of them optional: `2026-11-23T09:00:00Z`, `2026-11-23 10:00:00.25+01` ·
 *         `xid:` and the number of a transaction as rows show it (`xmin`), or with its epoch, as `pg_current_xact_id` gives it or as
 *         `epoch:number` · `name:` and the name of a restore point.
 * Errors: RECOVERY_TARGET_INVALID; RECOVERY_TARGET_UNZONED for a time without a zone, which two people may read an hour apart: the error
 *         shows what it would be in UTC and in `timeZone` (the machine's when not given).
 */
export function parseRecoveryTarget(text: string, options: { timeZone?: string } = {}): RecoveryTarget {
  const value = text.trim();
  const word = value.toLowerCase();
  if (word === 'latest' || word === 'immediate') return { kind: word };
  const [, prefix, rest] = PREFIXED.exec(text.trimStart()) ?? [];
  if (prefix !== undefined) return parsePrefixed(value, prefix.toLowerCase(), rest ?? '');
  if (LSN_LIKE.test(value)) return { kind: 'lsn', lsn: parseLsn(value) };
  const parts = parseTime(value);
  if (parts.offsetMinutes === undefined) {
    throw unzonedTime(value, parts, options.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  }
  return { kind: 'time', at: parts.local - minutes(parts.offsetMinutes) };
}

/** Writes a target so that `parseRecoveryTarget` reads the same from it. */
export function formatRecoveryTarget(target: RecoveryTarget): string {
  switch (target.kind) {
    case 'latest':
    case 'immediate':
      return target.kind;
    case 'time':
      return formatTimestamp(target.at);
    case 'lsn':
      return formatLsn(target.lsn);
    case 'before':
      return `before:${formatLsn(target.lsn)}`;
    case 'xid':
      return target.epoch === null ? `xid:${target.xid}` : `xid:${target.epoch}:${target.xid}`;
    case 'name':
      return `name:${target.name}`;
  }
}

function parsePrefixed(value: string, prefix: string, rest: string): RecoveryTarget {
  if (prefix === 'before') return { kind: 'before', lsn: parseLsn(rest.trim()) };
  if (prefix === 'xid') return parseXid(value, rest.trim());
  const bytes = Buffer.byteLength(rest, 'utf8');
  if (bytes > 0 && bytes <= NAME_BYTES_MAX) return { kind: 'name', name: rest };
  throw invalidTarget(value, `Expected a name of 1 to ${NAME_BYTES_MAX} bytes, found ${bytes}.`);
}

/** A number above 32 bits has its epoch in the upper half. */
function parseXid(value: string, text: string): RecoveryTarget {
  const [, epochText, numberText] = XID.exec(text) ?? [];
  if (numberText === undefined) throw invalidTarget(value, 'Expected the number of a transaction.');
  const number = BigInt(numberText);
  const epoch = epochText === undefined ? (number >= EPOCH ? number / EPOCH : null) : BigInt(epochText);
  const xid = epochText === undefined ? number % EPOCH : number;
  if (xid >= EPOCH || (epoch ?? 0n) >= EPOCH) throw invalidTarget(value, 'The number is out of range.');
  if (xid < XID_MIN) throw invalidTarget(value, `No transaction ever has the number ${xid}.`);
  return { kind: 'xid', xid: Number(xid), epoch };
}

interface TimeParts {
  /** Microseconds since 1970 as if the clock on the wall showed UTC. */
  readonly local: Timestamp;
  readonly offsetMinutes: number | undefined;
}

function parseTime(value: string): TimeParts {
  const match = TIME.exec(value);
  if (match === null) {
    throw invalidTarget(
      value,
      'Expected "latest", "immediate", an LSN, a date and time with a zone, or "before:", "xid:" or "name:" with what belongs to it.',
    );
  }
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone] = match;
  const milliseconds = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const said = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  // Date.UTC carries a 30th of February over into March; only what is written back the same did exist.
  if (Number.isNaN(milliseconds) || new Date(milliseconds).toISOString().slice(0, 19) !== said) {
    throw invalidTarget(value, `There is no ${year}-${month}-${day} ${hour}:${minute}:${second} in the calendar.`);
  }
  if (zone !== undefined && match[4] === undefined) {
    throw invalidTarget(value, 'Expected a time of day between the date and the zone.');
  }
  const local = BigInt(milliseconds) * MICROSECONDS_PER_MILLISECOND + BigInt(fraction.padEnd(6, '0'));
  return { local, offsetMinutes: zone === undefined ? undefined : parseOffset(value, zone) };
}

function parseOffset(value: string, zone: string): number {
  if (!/^[+-]/.test(zone)) return 0;
  const digits = zone.slice(1).replace(':', '');
  const minutesPart = Number(digits.slice(2) || '0');
  const total = Number(digits.slice(0, 2)) * 60 + minutesPart;
  if (minutesPart > 59 || total > OFFSET_MINUTES_MAX) {
    throw invalidTarget(value, `Expected an offset from UTC of at most 15:59, found "${zone}".`);
  }
  return zone.startsWith('-') ? -total : total;
}

/** Both readings are shown, so that the person sees at once which one was meant and can copy it. */
function unzonedTime(value: string, parts: TimeParts, timeZone: string): HoldfastError {
  const utc = formatTimestamp(parts.local);
  const there = readInZone(parts.local, timeZone);
  const reading =
    there.length === 0
      ? `in this machine's zone, ${timeZone}, that moment was skipped when the clocks were changed`
      : `read in this machine's zone, ${timeZone}, it is ${there.map(shortTime).join(' or, as the clocks were set back, ')}`;
  return new HoldfastError('RECOVERY_TARGET_UNZONED', `cannot restore to "${value}": the time has no zone`, {
    detail: `Read as UTC it is ${shortTime(utc)}; ${reading}.`,
    hints: [
      `Write --to ${[...new Set([shortTime(utc), ...there.map(shortTime)])].join(' or --to ')}.`,
      'An offset works as well, for example 2026-11-23T09:00:00+01:00.',
    ],
  });
}

/** The moments, none to two, at which clocks in `timeZone` showed `local`. */
function readInZone(local: Timestamp, timeZone: string): string[] {
  const candidates = [-MINUTES_PER_DAY, 0, MINUTES_PER_DAY].map((shift) =>
    zoneOffset(local + minutes(shift), timeZone),
  );
  return [...new Set(candidates)]
    .filter((offset) => zoneOffset(local - minutes(offset), timeZone) === offset)
    .map((offset) => local - minutes(offset))
    .sort((a, b) => (a < b ? -1 : 1))
    .map(formatTimestamp);
}

/** How many minutes clocks in `timeZone` are ahead of UTC at a moment. */
function zoneOffset(at: Timestamp, timeZone: string): number {
  const instant = Number(at / MICROSECONDS_PER_MILLISECOND);
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const shown = Object.fromEntries(format.formatToParts(instant).map((part) => [part.type, Number(part.value)]));
  const local = Date.UTC(shown.year!, shown.month! - 1, shown.day!, shown.hour!, shown.minute!, shown.second!);
  return Math.round((local - Math.floor(instant / 1000) * 1000) / 60_000);
}

function minutes(count: number): bigint {
  return BigInt(count) * 60_000_000n;
}

/** Without the microseconds when they are zero, as people write it. */
function shortTime(text: string): string {
  return text.replace('.000000Z', 'Z');
}

function invalidTarget(value: string, detail: string): HoldfastError {
  return new HoldfastError('RECOVERY_TARGET_INVALID', `invalid recovery target "${value}"`, {
    detail,
    hints: [
      'Write latest, a time such as 2026-11-23T09:00:00Z, or an LSN such as 16/B374D848.',
      'Also before:16/B374D848, xid:4711, name:before-release and immediate; `holdfast wal commits` shows what there is.',
    ],
  });
}
