import { formatDuration, formatMoment, formatQuantity } from '../../lib/index.ts';
import type { RefusalReason } from './decision.ts';
import type { PolicyInput, SnapshotFacts } from './facts.ts';
import { type JudgedSnapshot, SKEW_MS } from './judged-snapshot.ts';

const DAY_MS = 86_400_000;

/** A snapshot of weeks is no sign that backups succeed; a night and a day without anybody at hand are no reason for concern. */
export const SOUND_AGE_MS_DEFAULT = 2 * DAY_MS;

/** Between the end of a backup and its record stand some requests, or an outage of the primary while a copy stands in. */
const LATE_MS_MAX = DAY_MS;

/** A flood is so many times what one expects within a day. */
const FLOOD_FACTOR = 4;
/** Somebody who tries things out makes as many. */
const FLOOD_MIN = 24;
/** Nobody makes more than one in a quarter of an hour without saying so. */
const INTERVAL_MS_DEFAULT = 15 * 60_000;

/** Ids in a sentence; the rest stands in the list. */
const SHOWN_MAX = 3;

/** Every reason for which nothing may be forgotten, all at once. */
export function findRefusalReasons(input: PolicyInput, judged: readonly JudgedSnapshot[]): RefusalReason[] {
  const unaccepted = input.snapshots.filter(({ id }) => !input.accepted.has(id));
  return [
    ...[...input.obstacles].sort(bySentence).map((obstacle) => ({ ...obstacle, snapshots: [] })),
    ...whyNoSoundSnapshot(input, judged),
    ...whyDatedAhead(unaccepted, input.now),
    ...whyDatedBehind(unaccepted),
    ...whyFlooded(unaccepted, input.soundAgeMax),
  ];
}

function whyNoSoundSnapshot({ now, soundAgeMax }: PolicyInput, judged: readonly JudgedSnapshot[]): RefusalReason[] {
  const newest = judged.find(({ isSound }) => isSound);
  const ageMax = soundAgeMax ?? SOUND_AGE_MS_DEFAULT;
  if (newest !== undefined && now - newest.time <= ageMax) return [];
  const found =
    newest === undefined
      ? 'there is no good backup'
      : `the last good backup is ${formatDuration(now - newest.time)} old (${shorten(newest.facts.id)}, ${formatMoment(newest.time)})`;
  return [
    {
      code: 'no-sound-snapshot',
      sentence: `Nothing is forgotten because ${found}; expected is one not older than ${formatDuration(ageMax)}.`,
      hint: 'Find out why backups fail (`holdfast status`), and make one; `holdfast verify` attests what was not attested.',
      snapshots: [],
    },
  ];
}

function whyDatedAhead(snapshots: readonly SnapshotFacts[], now: number): RefusalReason[] {
  const ahead = snapshots.filter(
    ({ completedAt, storedAt }) => completedAt > storedAt + SKEW_MS || storedAt > now + SKEW_MS,
  );
  return reasonAbout(ahead, 'dates-ahead', (first) => {
    const [date, than, other] =
      first.completedAt > first.storedAt + SKEW_MS
        ? [first.completedAt, 'the store took it at', first.storedAt]
        : [first.storedAt, 'for the store it is now', now];
    return `dated later than can be: ${shorten(first.id)} is of ${formatMoment(date)}, and ${than} ${formatMoment(other)}`;
  });
}

function whyDatedBehind(snapshots: readonly SnapshotFacts[]): RefusalReason[] {
  const behind = snapshots.filter(({ completedAt, storedAt }) => completedAt < storedAt - LATE_MS_MAX);
  return reasonAbout(
    behind,
    'dates-behind',
    ({ id, completedAt, storedAt }) =>
      `dated long before the store took it: ${shorten(id)} is of ${formatMoment(completedAt)}, and was stored at ${formatMoment(storedAt)}`,
  );
}

function reasonAbout(
  snapshots: readonly SnapshotFacts[],
  code: RefusalReason['code'],
  describe: (first: SnapshotFacts) => string,
): RefusalReason[] {
  const sorted = [...snapshots].sort(byStore);
  const [first] = sorted;
  if (first === undefined) return [];
  return [
    {
      code,
      sentence: `Nothing is forgotten because ${formatQuantity(sorted.length, 'snapshot is', 'snapshots are')} ${describe(first)}.`,
      hint: 'Find out which clock was wrong or who wrote them. Until then all snapshots are kept, which costs space alone.',
      snapshots: sorted.map(({ id }) => id),
    },
  ];
}

function whyFlooded(snapshots: readonly SnapshotFacts[], soundAgeMax: number | null): RefusalReason[] {
  const limit = Math.max(FLOOD_MIN, FLOOD_FACTOR * Math.round(DAY_MS / (soundAgeMax ?? INTERVAL_MS_DEFAULT)));
  const sorted = [...snapshots].sort(byStore);
  const flood = new Set<SnapshotFacts>();
  let [oldest, marked] = [0, 0];
  for (const [index, { storedAt }] of sorted.entries()) {
    while (sorted[oldest]!.storedAt <= storedAt - DAY_MS) oldest += 1;
    if (index - oldest < limit) continue;
    // Each is marked once, however many days of 24 hours it lies in.
    for (marked = Math.max(marked, oldest); marked <= index; marked++) flood.add(sorted[marked]!);
  }
  const [first] = flood;
  if (first === undefined) return [];
  const ids = [...flood].map(({ id }) => id);
  return [
    {
      code: 'flood',
      sentence: `Nothing is forgotten because ${formatQuantity(ids.length, 'snapshot')} came within a day or days where at most ${limit} are to be expected in each, the first at ${formatMoment(first.storedAt)} (${ids.slice(0, SHOWN_MAX).map(shorten).join(', ')}, …): they would push out older ones.`,
      hint: 'Find out who made them. Until then all snapshots are kept, which costs space alone.',
      snapshots: ids,
    },
  ];
}

function bySentence(a: { sentence: string }, b: { sentence: string }): number {
  return a.sentence < b.sentence ? -1 : 1;
}

function byStore(a: SnapshotFacts, b: SnapshotFacts): number {
  return a.storedAt - b.storedAt || (a.id < b.id ? -1 : 1);
}

/** So many digits of an id are shown to people. */
const ID_DIGITS_SHOWN = 12;

/** An id as it is shown to people, who can type it. */
export function shorten(id: string): string {
  return id.slice(0, ID_DIGITS_SHOWN);
}
