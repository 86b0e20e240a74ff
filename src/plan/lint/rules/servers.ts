import { formatExactDuration, formatQuantity } from '../../../lib/index.ts';
import type { databaseProviders } from '../../schema/index.ts';
import type { LintedPlan, Occurrence, Rule } from '../finding.ts';
import { formatList } from '../words.ts';
import { isOf, synchronousReplicas } from './losses.ts';
import { named, wherever } from './named.ts';

/** What is said of servers, their settings and their replicas. */
export const serverRules: readonly Rule[] = [
  {
    id: 'C9',
    severity: 'error',
    means: 'Commits wait for a single synchronous replica, and the service is promised to be available.',
    why: 'While that one is away every commit waits, so that the outage of a replica is one of the service.',
    settle:
      'Have a second synchronous replica, so that either may be away; or let commits go on meanwhile (whenAway: "degrade"), and bear the loss.',
    find: (plan) => {
      if (plan.objectives.availability === null) return [];
      return plan.clusters.flatMap(({ name }) => {
        const [only, ...others] = synchronousReplicas(plan, name);
        if (only === undefined || others.length > 0 || only.entry.whenAway === 'degrade') return [];
        return [
          {
            at: ['objectives.availability', `${only.option}.mode`],
            says: `The service is promised for ${plan.objectives.availability} % of a month, and every commit waits for "${only.entry.name}" alone.`,
          },
        ];
      });
    },
  },
  {
    id: 'replica-away-unsaid',
    severity: 'warning',
    means: 'Nobody says what happens to commits while a synchronous replica is away.',
    why: 'Whether the service stops or loses is then decided in the outage, by whoever is awake.',
    settle: 'Say whether they wait (whenAway: "block") or go on ("degrade").',
    find: ({ replicas }) =>
      wherever(
        'replicas',
        replicas,
        ({ mode, whenAway }) => mode === 'synchronous' && whenAway === null,
        ({ name }) => `Nothing says whether commits wait while "${name}" is away.`,
      ),
  },
  {
    id: 'wal-senders-too-few',
    severity: 'error',
    means: 'The server may send WAL to fewer than are there to take it.',
    why: 'The last to come is refused: a backup fails while all replicas are there, or a replica cannot come back during a backup.',
    settle: 'Raise max_wal_senders to what is needed, and some to spare.',
    find: (plan) =>
      settingsOf(plan, 'max_wal_senders').flatMap(({ option, cluster, value }) => {
        const replicas = plan.replicas.filter((replica) => isOf(plan, replica.cluster, cluster)).length;
        // The receiver of WAL and a backup at the same time: 3 replicas need 5 (EDB's and Barman's advice, too).
        const needed = replicas + 2;
        if (!Number.isInteger(Number(value)) || Number(value) >= needed) return [];
        return [
          {
            at: [option],
            says: `max_wal_senders is ${value}, and ${formatQuantity(replicas, 'replica')}, the receiver of WAL and a backup need ${needed}.`,
          },
        ];
      }),
  },
  {
    id: 'setting-removed',
    severity: 'error',
    means: 'A setting is asked for that PostgreSQL no longer has.',
    why: 'A server whose configuration has a name that it does not know does not start.',
    settle: 'Use what came in its place.',
    find: (plan) =>
      Object.entries(removedSettings).flatMap(([name, { since, instead }]) =>
        settingsOf(plan, name).map(({ option }) => ({
          at: [option],
          says: `PostgreSQL has no ${name} since version ${since}: ${instead}.`,
        })),
      ),
  },
  {
    id: 'archive-overwrites',
    severity: 'error',
    means: 'WAL is archived by a command that writes over what is there already.',
    why: 'A second server with the same archive, or an old primary that comes back, replaces WAL that is needed; nobody notices before a recovery fails.',
    settle: 'Use a command that refuses other content and takes the same: holdfast wal push %p.',
    find: (plan) =>
      settingsOf(plan, 'archive_command').flatMap(({ option, value }) => {
        const command = String(value);
        if (redirectsOver.test(command) && !/test\s+!|\[\s+!|\bset\s+-C\b|noclobber/.test(command)) {
          return [
            { at: [option], says: 'archive_command writes into the file of the segment, whatever is there already.' },
          ];
        }
        const copies = /(^|[\s;&|/])(cp|scp|rsync|mv|aws\s+s3\s+(cp|sync)|gsutil\s+cp|azcopy)\s/.test(command);
        if (!copies || /test\s+!|\[\s+!|--ignore-existing|cp\s+-n\b|--no-clobber/.test(command)) return [];
        return [{ at: [option], says: 'archive_command copies without looking whether the segment is there already.' }];
      }),
  },
  {
    id: 'archive-without-timeout',
    severity: 'error',
    means: 'A loss of minutes is promised by archived segments, and nothing makes the server finish one in that time.',
    why: 'A segment is archived when its 16 MiB are full, which on a quiet server takes hours; all that stands in it is lost with the disk.',
    settle: 'Receive WAL as it is written (holdfast wal stream), or set archive_timeout to a minute.',
    find: (plan) => {
      const { rpo } = plan.objectives;
      if (rpo === null) return [];
      return settingsOf(plan, 'archive_command').flatMap(({ option, cluster, value: command }) => {
        const settingOf = (name: string) => settingsOf(plan, name).find((each) => each.cluster === cluster);
        const mode = settingOf('archive_mode')?.value;
        if (mode !== undefined && isOff.test(String(mode).trim())) return [];
        // Beside a receiver the archive is the second way of the same WAL.
        const isReceived = plan.schedules.some(
          (each) => each.job === 'wal' && each.when.kind === 'continuous' && isOf(plan, each.cluster, cluster),
        );
        if (isReceived && /\bholdfast\b.*\bwal\s+push\b/.test(String(command))) return [];
        const timeout = settingOf('archive_timeout');
        const ms = timeout === undefined ? 0 : readSeconds(timeout.value);
        // 0 is how a server is told to wait for ever. No loss at all is what replicas promise.
        if (ms === null || (ms > 0 && (ms <= rpo || rpo === 0))) return [];
        const waits = ms === 0 ? 'with no archive_timeout' : `each after ${formatExactDuration(ms)} at the latest`;
        const says = `WAL of "${cluster}" is archived by whole segments, ${waits}, and no more than ${formatExactDuration(rpo)} may be lost.`;
        return [{ at: [option, ...(timeout === undefined ? [] : [timeout.option]), 'objectives.rpo'], says }];
      });
    },
  },
  {
    id: 'setting-not-yours',
    severity: 'error',
    means: 'The plan asks settings of a server whose provider lets nobody set them.',
    why: 'What is built on these settings, such as an archive of WAL, never comes to be.',
    settle: 'Take them away and say what protects the database there, or run the server yourself.',
    find: ({ clusters }) =>
      named('clusters', clusters).flatMap(({ option, entry }): Occurrence[] => {
        const names = Object.keys(entry.settings ?? {});
        return named(`${option}.providers`, entry.providers).flatMap(({ option: at, entry: provider }) => {
          const closed = names.filter((name) => closedSettings[provider].includes(name));
          if (closed.length === 0) return [];
          const says = `${formatList(closed)} cannot be set at ${provider}.`;
          return [{ at: [at, ...closed.map((name) => `${option}.settings.${name}`)], says }];
        });
      }),
  },
  {
    id: 'provider-undecided',
    severity: 'warning',
    means: 'It is not settled where a server runs.',
    why: 'Each provider sets other limits to what can be protected and how fast it comes back; the plan can count on the weakest only.',
    settle: 'Name one.',
    find: ({ clusters }) =>
      wherever(
        'clusters',
        clusters,
        ({ providers }) => providers.length > 1,
        ({ name, providers }) => `"${name}" may run at ${formatList(providers)}.`,
      ),
  },
  {
    id: 'failover-without-replica',
    severity: 'error',
    means:
      'A scenario is mended by a failover, and there is no replica that may become the primary; or none in another region, when the region is lost.',
    why: 'There is nothing to fail over to.',
    settle:
      'Declare a replica that may be the primary, in another region where the region is what is lost; or name another method.',
    find: (plan) =>
      named('scenarios', plan.scenarios).flatMap(({ option, entry }): Occurrence[] => {
        if (entry.method !== 'failover') return [];
        return named('clusters', plan.clusters).flatMap((cluster) => {
          const able = plan.replicas.filter(
            (replica) => isOf(plan, replica.cluster, cluster.entry.name) && replica.mayBePrimary,
          );
          const elsewhere = able.filter(({ region }) => region !== null && region !== cluster.entry.region);
          const isRegional = entry.strikes === 'region';
          if ((isRegional ? elsewhere : able).length > 0) return [];
          const where = isRegional ? ' in another region' : '';
          const says = `"${entry.name}" is mended by a failover, and no replica of "${cluster.entry.name}"${where} may be the primary.`;
          return [{ at: [`${option}.method`, cluster.option], says }];
        });
      }),
  },
];

/** Names that no version from 14 on knows. */
const removedSettings: Readonly<Record<string, { since: number; instead: string }>> = {
  wal_keep_segments: { since: 13, instead: 'wal_keep_size has its place, in bytes (100 segments are 1600MB)' },
  operator_precedence_warning: { since: 14, instead: 'nothing has its place' },
  vacuum_cleanup_index_scale_factor: { since: 14, instead: 'nothing has its place' },
};

/** What takes files and commands on the host of a server, or decides what its WAL has. */
const ofTheHost = ['wal_level', 'archive_mode', 'archive_command', 'archive_library', 'restore_command'];

/** What else takes a restart, or is about the server as a whole. */
const serverWide = [
  ...ofTheHost,
  ...['archive_timeout', 'max_wal_senders', 'max_replication_slots', 'wal_keep_size', 'wal_keep_segments'],
  'synchronous_standby_names',
];

/** What customers change there by the provider's own tools, and not in a file. */
const ownAtSupabase: ReadonlySet<string> = new Set(['max_wal_senders', 'max_replication_slots', 'wal_keep_size']);

/** What nobody but the provider sets. */
const closedSettings: Readonly<Record<(typeof databaseProviders)[number], readonly string[]>> = {
  'self-hosted': [],
  neon: serverWide,
  heroku: serverWide,
  vercel: serverWide,
  supabase: serverWide.filter((name) => !ownAtSupabase.has(name)),
  // Groups of parameters have all the others.
  rds: ofTheHost,
};

/** A redirection into a name with that of the segment; messages of errors may go anywhere. */
const redirectsOver = /(?<![2-9&>])>{1,2}\|?\s*["']?[^\s;&|<>]*%f/;

/** As PostgreSQL reads a yes or a no. */
const isOff = /^(off|false|no|0|of|f|fa|fal|fals|n)$/i;

const secondUnits: Readonly<Record<string, number>> = {
  ...{ '': 1_000, us: 0.001, ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 },
};

/** Milliseconds of a setting that counts in seconds; `null` for what is none. */
function readSeconds(value: string | number | boolean): number | null {
  const [, count, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(String(value).trim()) ?? [];
  const factor = secondUnits[unit ?? ''];
  // The server counts whole seconds, and rounds to them.
  return count === undefined || factor === undefined ? null : Math.round((Number(count) * factor) / 1_000) * 1_000;
}

function settingsOf({ clusters }: LintedPlan, name: string) {
  return named('clusters', clusters).flatMap(({ option, entry }) => {
    const value = entry.settings?.[name];
    return value === undefined ? [] : [{ option: `${option}.settings.${name}`, cluster: entry.name, value }];
  });
}
