import { randomBytes } from 'node:crypto';
import { type Clock, codeOf, formatDuration, formatQuantity } from '../../lib/index.ts';
import { getIfThere, type ObjectStore } from '../object-store/index.ts';
import { STORE_CLOCK_OFFSET_MS_MAX } from './clock-offset.ts';
import type { ProbeFinding } from './findings.ts';
import { isPermitted, listProbes } from './listed-probes.ts';

/** Small enough to cost nothing, large enough to have parts. */
const PROBE_BYTES = 64;

/** How many come at the same moment. A store without the check lets all of them in, one with a race at times more than one. */
const WRITERS_AT_ONCE = 8;

/** What became of the first object, for the trials that go on with it. */
export interface FirstObject {
  /** What is stored now. */
  readonly bytes: Buffer;
  /** Our time before it was put and after, in milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly writeMs: number;
  readonly readMs: number;
  readonly createOnce: ProbeFinding;
  readonly readAfterWrite: ProbeFinding;
}

/** Puts an object, reads it, and puts a second one of its name. */
export async function tryOne(store: ObjectStore, clock: Clock, name: string): Promise<FirstObject> {
  const [first, second] = [randomBytes(PROBE_BYTES), randomBytes(PROBE_BYTES)];
  const [from, started] = [clock.now(), clock.monotonic()];
  const created = await store.putIfAbsent(name, first);
  const [until, written] = [clock.now(), clock.monotonic()];
  const readBack = await getIfThere(store, name);
  const readMs = clock.monotonic() - written;
  const again = await store.putIfAbsent(name, second);
  const kept = await getIfThere(store, name);
  const isReplaced = again !== 'exists' || kept?.equals(second) === true;
  const tookFirst = created === 'created' ? 'the second one refused' : 'a name that nobody had used said to be taken';
  return {
    ...{ bytes: kept ?? first, from, until, writeMs: written - started, readMs },
    createOnce: findingOf(
      created === 'created' && !isReplaced,
      isReplaced ? 'the second one taken' : tookFirst,
      'the second object of a name refused',
    ),
    readAfterWrite: findingOf(
      readBack?.equals(first) === true && kept !== null,
      describeBytes(kept === null ? null : readBack, first),
      'the bytes that were put',
    ),
  };
}

/** Lets several put an object of one name, each with bytes of its own. */
export async function tryAtOnce(store: ObjectStore, name: string): Promise<ProbeFinding> {
  const bodies = Array.from({ length: WRITERS_AT_ONCE }, () => randomBytes(PROBE_BYTES));
  const outcomes = await Promise.all(bodies.map((body) => store.putIfAbsent(name, body)));
  const winners = bodies.filter((_, writer) => outcomes[writer] === 'created');
  const kept = await getIfThere(store, name);
  const isAnothers = winners.length === 1 && kept !== null && !kept.equals(winners[0]!);
  const told = `${winners.length} of ${WRITERS_AT_ONCE} writers told that theirs was taken`;
  return findingOf(
    winners.length === 1 && !isAnothers,
    isAnothers ? `${told}, and the bytes of another kept` : told,
    `one of ${WRITERS_AT_ONCE} writers told so, and its bytes kept`,
  );
}

/** The first byte, some from the middle, the last one, and more than there are. */
export async function tryRanges(store: ObjectStore, name: string, bytes: Buffer): Promise<ProbeFinding> {
  const expected = 'the bytes of the range, and none beyond the end';
  const ranges = [
    [0, 1],
    [PROBE_BYTES / 4, PROBE_BYTES / 2],
    [PROBE_BYTES - 1, 1],
  ] as const;
  for (const [offset, length] of ranges) {
    const part = await readPart(store, name, offset, length);
    if (part?.equals(bytes.subarray(offset, offset + length)) === true) continue;
    const found = part === null ? 'no such range' : formatQuantity(part.length, 'other byte');
    return findingOf(false, `${found} where ${length} at ${offset} were asked for`, expected);
  }
  const isShort = (await readPart(store, name, PROBE_BYTES - 1, 2)) === null;
  return findingOf(isShort, isShort ? 'them' : 'bytes beyond the end', expected);
}

/** Looks for the objects, which are just stored, in a listing. */
export async function tryListing(store: ObjectStore, names: readonly string[]): Promise<ProbeFinding> {
  const listed = (await listProbes(store)).filter(({ name }) => names.includes(name));
  const wrong = listed.find(({ size }) => size !== PROBE_BYTES);
  const found = wrong === undefined ? `${listed.length} of them` : `a size of ${formatQuantity(wrong.size, 'byte')}`;
  return findingOf(
    listed.length === names.length && wrong === undefined,
    found,
    `${formatQuantity(names.length, 'object')} of ${PROBE_BYTES} bytes as soon as they are stored`,
  );
}

/** Overwrites an object, as leases and reports of status are; credentials for a copy need no right to do so. */
export async function tryOverwriting(store: ObjectStore, name: string): Promise<ProbeFinding> {
  const newest = randomBytes(PROBE_BYTES);
  const expected = 'the newest bytes';
  if (!(await isPermitted(() => store.putVolatile(name, newest)))) {
    return { outcome: 'unseen', found: 'no right to overwrite', expected };
  }
  const found = await getIfThere(store, name);
  return findingOf(found?.equals(newest) === true, describeBytes(found, newest), expected);
}

/** Removes the objects, and looks for them. */
export async function tryDeleting(
  store: ObjectStore,
  names: readonly string[],
): Promise<{ deletion: ProbeFinding; leftBehind: string[] }> {
  const leftBehind: string[] = [];
  const expected = 'what was removed neither read nor listed any more';
  for (const name of names) if (!(await isPermitted(() => store.delete(name)))) leftBehind.push(name);
  if (leftBehind.length > 0) {
    const found = `no right to delete, so that ${quoteAll(leftBehind)} had to be left there`;
    return { deletion: { outcome: 'unseen', found, expected }, leftBehind };
  }
  const listed = (await listProbes(store)).map(({ name }) => name);
  for (const name of names) if (listed.includes(name) || !(await isGone(store, name))) leftBehind.push(name);
  const found = leftBehind.length === 0 ? 'nothing' : `${quoteAll(leftBehind)} still there`;
  return { deletion: findingOf(leftBehind.length === 0, found, expected), leftBehind };
}

/** Asks the place what it offers beside its promises. */
export async function askProtection(store: ObjectStore): Promise<{ versioning: ProbeFinding; lock: ProbeFinding }> {
  const { versioning, lock } = (await store.protection?.()) ?? { versioning: 'off', lock: 'off' };
  const isLockWanted = store.lock !== undefined;
  const outcomes = { on: 'kept', off: 'not-offered', unknown: 'unseen' } as const;
  const words = { on: 'on', off: 'off', unknown: 'no answer' };
  return {
    versioning: { outcome: outcomes[versioning], found: words[versioning], expected: 'older versions kept' },
    lock: {
      outcome: isLockWanted && lock === 'off' ? 'broken' : outcomes[lock],
      found: words[lock],
      expected: isLockWanted ? 'locks, as they are asked for' : 'locks, where they are asked for',
    },
  };
}

/** Says what a difference of the clocks means. Pure. */
export function judgeOffset(offsetMs: number): ProbeFinding {
  const distance = formatDuration(Math.abs(offsetMs));
  return findingOf(
    Math.abs(offsetMs) <= STORE_CLOCK_OFFSET_MS_MAX,
    offsetMs === 0 ? 'the same time' : `its clock ${distance} ${offsetMs > 0 ? 'ahead of' : 'behind'} ours`,
    `less than ${formatDuration(STORE_CLOCK_OFFSET_MS_MAX)} between its clock and ours`,
  );
}

/** Whether neither its size nor its bytes are to be had. */
export async function isGone(store: ObjectStore, name: string): Promise<boolean> {
  return (await store.stat(name)) === null && (await getIfThere(store, name)) === null;
}

function findingOf(isKept: boolean, found: string, expected: string): ProbeFinding {
  return { outcome: isKept ? 'kept' : 'broken', found, expected };
}

function describeBytes(found: Buffer | null, expected: Buffer): string {
  if (found === null) return 'no object';
  return found.equals(expected) ? 'them' : 'other bytes';
}

function quoteAll(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(' and ');
}

/** `null` when the store says that it has no such bytes, or that it cannot. */
async function readPart(store: ObjectStore, name: string, offset: number, length: number): Promise<Buffer | null> {
  try {
    return await store.getRange(name, offset, length);
  } catch (error) {
    if (['OBJECT_ABSENT', 'OBJECT_TRUNCATED', 'STORE_FAILED'].includes(codeOf(error) ?? '')) return null;
    throw error;
  }
}
