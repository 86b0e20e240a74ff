import type { Command } from '../command.ts';
import { openPlaceList } from '../open-places.ts';
import { type Json, shortId } from '../output/index.ts';
import { tellAlarm } from '../wal-alarm.ts';

/** `holdfast wal push`. */
export const walPush: Command = {
  path: ['wal', 'push'],
  summary: 'Take a WAL file from PostgreSQL and make it durable: for archive_command.',
  details: [
    `In postgresql.conf: archive_mode = on, archive_command = 'holdfast wal push "%p"'`,
    'The same file again is success; another one under a name that is stored never is.',
    'While the primary is away the file is kept on this machine and in the copies, where the plan has them; with protect: wal it is kept by PostgreSQL until a required copy has it.',
    'It hands the file to a running holdfast wal stream of this host. Without one it keeps what waits behind the file, too, so that the key is not derived for each.',
  ],
  examples: [
    {
      line: 'holdfast wal push pg_wal/000000010000000000000003',
      does: 'As PostgreSQL calls it, in the data directory.',
    },
  ],
  access: 'deferred',
  database: 'none',
  keepsWal: true,
  exitCodes: 'postgresql-archive',
  planOptions: ['cluster.name'],
  arguments: [{ name: 'file', help: 'The path of the segment, history or backup file (%p).' }],
  run: async (context, input) => {
    const { resolve } = await import('node:path');
    const { pushWalFile } = await import('../../protect/wal/push/index.ts');
    const { cluster, stateDirectory, repository } = context.plan;
    // Where there are copies, a primary that is away is not waited for.
    const [primary, ...copies] = await openPlaceList(context.plan, context, null);
    const begun = context.clock.monotonic();
    const { file, road, place, isNew, ahead } = await pushWalFile({
      path: resolve(input.required('file')),
      // Only the primary says what was acknowledged.
      store: primary!.store,
      copies: copies.map(({ store }) => store),
      openRepository: () => context.open(),
      outage: () => {
        const { spool, standIn } = context;
        return spool === null ? null : { spool, standIn, protect: repository.protect };
      },
      stateDirectory,
      cluster: cluster.nameOrigin === null ? null : cluster.name,
      clusterDefault: cluster.name,
      clock: context.clock,
      signal: context.signal,
      onAlarm: (alarm) => tellAlarm(context, alarm),
    });
    const seconds = (context.clock.monotonic() - begun) / 1000;
    const json: Json = {
      ...{ file, outcome: road, new: isNew, ahead: [...ahead], seconds },
      ...{ system: place?.system ?? null, lineage: place?.lineage ?? null },
    };
    const where = place === null ? '' : ` in lineage ${shortId(place.lineage)}`;
    return { json, text: () => [`${describeRoad(road, isNew)} ${file}${where}${describeAhead(ahead)}`] };
  },
};

function describeRoad(road: string, isNew: boolean): string {
  switch (road) {
    case 'not-needed':
      return 'no recovery needs';
    case 'acknowledged':
      return 'had kept';
    default:
      return isNew ? 'kept' : 'holds the same';
  }
}

function describeAhead(ahead: readonly string[]): string {
  return ahead.length === 0 ? '' : `, and ${ahead.length} behind it up to ${ahead.at(-1)}`;
}
