import { formatCount, formatMoment, formatQuantity } from '../../lib/index.ts';
import type { CheckedLocks, CheckedPlace, FoundTampering } from '../../prove/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { isoTime, type Json, type Paint, paintLock, shortId } from '../output/index.ts';

/** `holdfast repository locks`. */
export const repositoryLocks: Command = {
  path: ['repository', 'locks'],
  summary: 'Ask each place until when everything that snapshots count on is locked.',
  details: [
    'What list, show and status say of locks was attested by the backup; here the places themselves are asked, object by object. Nothing is changed.',
    'Without a snapshot the newest of each cluster is looked at. It ends with 3 when a lock that was attested is gone or was shortened, when something of which it was attested is not there, and when objects were overwritten or deleted by name, which no reader sees.',
  ],
  examples: [
    { line: 'holdfast repository locks', does: 'The newest snapshot of each cluster.' },
    { line: 'holdfast repository locks --all', does: 'Every snapshot.' },
  ],
  access: 'read',
  database: 'none',
  planOptions: ['cluster.name'],
  arguments: [{ name: '[snapshot...]', help: 'Ids, or so many of their first digits that no other begins with them.' }],
  flags: [{ flag: '--all', help: 'Every snapshot.' }],
  run: async (context, input) => {
    const { checkLocks, findTampering } = await import('../../prove/index.ts');
    const { repository, progress, signal, clock } = context;
    const snapshots = await chooseSnapshots(context, input);
    const checked = await checkLocks({ repository, snapshots, progress, signal });
    const tampering = await findTampering(repository);
    const isSound =
      tampering.length === 0 &&
      checked.every(({ places }) => places.every((each) => !each.isShortened && !each.isGone));
    return {
      reason: isSound ? 'done' : 'problemFound',
      json: {
        sound: isSound,
        snapshots: checked.map(locksDocument),
        tampering: tampering.map(({ place, count, names }) => ({ place, count, names: [...names] })),
      },
      text: (paint) => [...locksText(checked, clock.now(), paint), ...tamperingText(tampering, paint)],
    };
  },
};

async function chooseSnapshots({ repository, plan }: CommandContext, input: CommandInput): Promise<SnapshotRecord[]> {
  const named = input.all('snapshot');
  if (named.length > 0) return Promise.all(named.map((id) => repository.findSnapshot(id)));
  const { snapshots } = await repository.listSnapshots();
  const { name, nameOrigin } = plan.cluster;
  const own = snapshots.filter(({ cluster }) => nameOrigin === null || cluster === name);
  return input.isSet('all') ? own : [...new Map(own.map((snapshot) => [snapshot.cluster, snapshot])).values()];
}

function locksDocument({ snapshot, places }: CheckedLocks): Json {
  const time = (at: number | null) => (at === null ? null : isoTime(at));
  return {
    snapshot: snapshot.id,
    cluster: snapshot.cluster,
    places: places.map((each) => ({
      place: each.place,
      until: time(each.until),
      attested: time(each.attested),
      shortened: each.isShortened,
      gone: each.isGone,
      objects: each.objects,
      unlocked: { count: each.unlockedCount, absent: each.absentCount, names: [...each.unlocked] },
    })),
  };
}

function locksText(checked: readonly CheckedLocks[], now: number, paint: Paint): string[] {
  if (checked.length === 0) return ['There are no snapshots.'];
  if (checked.every(({ places }) => places.length === 0)) {
    return ['No place of this repository is asked to keep locks: see lock in the plan.'];
  }
  return checked.flatMap(({ snapshot, places }) => [
    `${paint.strong(shortId(snapshot.id))} of ${snapshot.cluster}, completed ${formatMoment(Date.parse(snapshot.completedAt))}`,
    ...places.flatMap((place) => placeText(place, now, paint)),
  ]);
}

function tamperingText(tampering: readonly FoundTampering[], paint: Paint): string[] {
  return tampering.flatMap(({ place, count, names }) => [
    paint.bad(`${place}: ${formatQuantity(count, 'object')} overwritten or deleted by name after they were stored`),
    `    ${names.join(', ')}${count > names.length ? ` and ${formatCount(count - names.length)} more` : ''}`,
    '    Readers take what was stored first, so that nothing is lost by it. Somebody who may write did it, or several wrote at once.',
  ]);
}

function placeText(place: CheckedPlace, now: number, paint: Paint): string[] {
  const { until, attested, objects, unlocked, unlockedCount, absentCount, isShortened, isGone } = place;
  const rest = unlockedCount - unlocked.length;
  return [
    `  ${place.place}: ${paintLock(until, now, paint)}, ${formatQuantity(objects, 'object')} asked about`,
    ...(isShortened
      ? [`    ${paint.bad(`It was attested to be locked until ${formatMoment(attested!)}: somebody took locks away.`)}`]
      : []),
    ...(isGone
      ? [
          `    ${paint.bad(`All of it was attested to be locked until ${formatMoment(attested!)}, and ${formatQuantity(absentCount, 'object')} ${absentCount === 1 ? 'is' : 'are'} not there.`)}`,
        ]
      : []),
    ...(unlockedCount === 0
      ? []
      : [
          `    not locked: ${unlocked.join(', ')}${rest === 0 ? '' : ` and ${formatCount(rest)} more`}${absentCount === 0 ? '' : `; ${formatCount(absentCount)} of them are not there`}`,
        ]),
  ];
}
