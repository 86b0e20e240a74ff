import { formatMoment, formatQuantity } from '../../lib/index.ts';
import type { ConnectionTarget } from '../../postgres/index.ts';
import type { ClusterStatus, Finding, PlacesStatus, ProtectionStatus } from '../../watch/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { placesDocument, placesTable } from '../copies-text.ts';
import { readDatabaseIfGiven } from '../database.ts';
import { findingDocument, findingText } from '../finding-text.ts';
import { lockDocument, lockedUntil } from '../lock-text.ts';
import { locatePlaces } from '../open-places.ts';
import {
  formatAge,
  formatFacts,
  isoTime,
  type Json,
  type Paint,
  paintLevel,
  paintLock,
  shortId,
} from '../output/index.ts';
import { spaceDocument } from '../wal-space.ts';

/** `holdfast status`. */
export const status: Command = {
  path: ['status'],
  summary: 'Say how well each cluster is protected now, and what to do next.',
  details: ['With a connection to the server, what is kept is compared with what the server has.'],
  examples: [
    { line: 'holdfast status', does: 'How well each cluster is protected.' },
    { line: 'holdfast status --json | jq .clusters', does: 'The same for a program.' },
  ],
  access: 'read',
  database: 'wanted',
  run: async (context) => {
    const source = await readDatabaseIfGiven(context);
    const { formatLsn } = await import('../../postgres/index.ts');
    const { judgeWithoutPrimary, readStatus } = await import('../../watch/index.ts');
    const { cluster } = context.plan;
    const known = await readStatus({
      repository: context.repository,
      clock: context.clock,
      ...(cluster.nameOrigin === null ? {} : { cluster: cluster.name }),
      ...(source === null ? {} : { source }),
    });
    const standing = await readStanding(context, source);
    const isUntold = (standing.places?.primary.error ?? null) !== null;
    const clusters = isUntold
      ? known.clusters.map((each) => ({ ...each, findings: each.findings.map(judgeWithoutPrimary) }))
      : known.clusters;
    const result = {
      ...known,
      clusters,
      findings: [...known.findings, ...standing.findings],
      isWell: known.isWell && standing.findings.every(({ severity }) => severity !== 'problem'),
    };
    return {
      reason: result.isWell ? 'done' : 'problemFound',
      json: {
        well: result.isWell,
        clusters: result.clusters.map((each) => clusterDocument(each, formatLsn)),
        places: standing.places === null ? null : placesDocument(standing.places),
        findings: result.findings.map(findingDocument),
      },
      text: (paint) => [
        ...result.clusters.flatMap((each) => [...clusterText(each, formatLsn, paint), '']),
        ...(standing.places === null ? [] : [...placesTable(standing.places, paint), '']),
        ...result.findings.flatMap((finding) => findingText(finding, paint)),
        verdict(result, paint),
      ],
    };
  },
};

/** How the places of the repository stand to each other and to the server's machine. */
async function readStanding(
  { plan, repository, signal }: CommandContext,
  source: ConnectionTarget | null,
): Promise<{ places: PlacesStatus | null; findings: Finding[] }> {
  const { isServerHere, judgeAway, judgeCopies, readPlaces } = await import('../../watch/index.ts');
  const away = judgeAway({ serverIsHere: isServerHere(source), places: await locatePlaces(plan) });
  const { places } = repository.store;
  const status = places === undefined || places.length === 1 ? null : await readPlaces(places, { signal });
  return {
    places: status,
    findings: [...(status === null ? [] : judgeCopies(status)), ...(away === null ? [] : [away])],
  };
}

/** A server that is down is no fault of the backups, and yet nobody wants to read then that nothing is wrong. */
function verdict({ isWell, clusters, findings }: ProtectionStatus, paint: Paint): string {
  if (!isWell) return paint.bad('Something is wrong.');
  const isQuiet = [findings, ...clusters.map((each) => each.findings)].every((list) => list.length === 0);
  return isQuiet ? paint.good('Nothing is wrong.') : paint.good('Nothing is wrong with what is kept.');
}

type FormatLsn = (lsn: bigint) => string;

function clusterDocument(status: ClusterStatus, formatLsn: FormatLsn): Json {
  const { cluster, now, snapshotCount, newest, wal, server } = status;
  const seconds = (at: number) => Math.max(0, (now - at) / 1000);
  const receiver = wal?.receiver ?? null;
  return {
    cluster,
    snapshots: snapshotCount,
    newestSnapshot:
      newest === null
        ? null
        : {
            snapshot: newest.id,
            completedAt: isoTime(newest.completedAt),
            ageSeconds: seconds(newest.completedAt),
            level: newest.level,
            damaged: newest.isDamaged,
            doubtful: newest.isDoubtful,
            onlyIn: newest.onlyIn === null ? null : [...newest.onlyIn.copies],
            ...lockDocument(newest.locks),
            restorableTo: formatLsn(newest.restorableTo),
          },
    wal:
      wal === null
        ? null
        : {
            system: wal.system,
            lineage: wal.lineage,
            timeline: wal.timeline,
            durableLsn: formatLsn(wal.durableLsn),
            gaps: wal.gaps.map(({ start, end, cost }) => ({ start: formatLsn(start), end: formatLsn(end), cost })),
            receiver: receiver === null ? null : receiverDocument(receiver, seconds),
            push:
              wal.push === null
                ? null
                : {
                    file: wal.push.file,
                    saidAt: isoTime(wal.push.saidAt),
                    endLsn: wal.push.endLsn === null ? null : formatLsn(wal.push.endLsn),
                  },
          },
    server:
      server.kind === 'answered'
        ? { system: server.system, timeline: server.timeline, flushLsn: formatLsn(server.flushLsn) }
        : null,
    findings: status.findings.map(findingDocument),
  };
}

function receiverDocument(
  receiver: NonNullable<NonNullable<ClusterStatus['wal']>['receiver']>,
  seconds: (at: number) => number,
): Json {
  const { running, saidAt, knownUntil, synchronous, space } = receiver;
  return {
    running,
    saidAt: isoTime(saidAt),
    rpoSeconds: knownUntil === null ? null : seconds(knownUntil),
    synchronous,
    space: space === null ? null : spaceDocument(space),
  };
}

function clusterText(status: ClusterStatus, formatLsn: FormatLsn, paint: Paint): string[] {
  const { cluster, now, snapshotCount, newest, wal } = status;
  const receiver = wal?.receiver ?? null;
  const facts: [string, string][] = [['snapshots', formatQuantity(snapshotCount, 'snapshot')]];
  if (newest !== null) {
    const when = `${formatAge(now, newest.completedAt)}, ${formatMoment(newest.completedAt)}`;
    facts.push([
      'newest',
      `${shortId(newest.id)}, ${when}, ${paintLevel(newest.level, paint, newest.isDamaged, newest.isDoubtful)}`,
    ]);
    if (newest.locks.length > 0) facts.push(['locked', paintLock(lockedUntil(newest.locks), now, paint)]);
  }
  if (wal !== null) {
    facts.push([
      'durable to',
      `${formatLsn(wal.durableLsn)} on timeline ${wal.timeline}, lineage ${shortId(wal.lineage)}`,
    ]);
    const isUntold = status.findings.some(({ code }) => code === 'receiver-untold');
    const stands =
      receiver?.running === true ? paint.good('running') : paint.warning(isUntold ? 'not known' : 'not running');
    facts.push(['receiver', stands]);
    if (wal.push !== null) facts.push(['last pushed', `${wal.push.file}, ${formatAge(now, wal.push.saidAt)}`]);
    if (receiver !== null && receiver.knownUntil !== null) {
      facts.push(['complete to', `${formatMoment(receiver.knownUntil)}, ${formatAge(now, receiver.knownUntil)}`]);
    }
    if (receiver?.synchronous === true) facts.push(['commits', 'wait for the receiver']);
  }
  if (status.server.kind === 'answered') facts.push(['server at', formatLsn(status.server.flushLsn)]);
  return [
    paint.title(`Cluster ${cluster}`),
    ...formatFacts(facts, paint),
    ...status.findings.flatMap((finding) => findingText(finding, paint)),
  ];
}
