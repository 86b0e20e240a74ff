import type { ServerVersion } from '../../postgres/index.ts';

/** A fault of released versions of PostgreSQL by which data, or a restore, can be lost. */
export interface KnownBug {
  /** Kebab-case, for programs. */
  readonly id: string;
  /** What goes wrong, one whole sentence. */
  readonly sentence: string;
  /** Which minors of a major have it: from the first to the one before the last number; `null` when no release is known to have mended it. */
  readonly affects: Readonly<Record<number, readonly [from: number, fixedIn: number | null]>>;
  /** `always`, or only where the server summarizes WAL for incremental backups of its own. */
  readonly when: 'always' | 'summaries' | 'summaries-without-checksums';
  /** What to do besides updating, one whole sentence. */
  readonly also: string | null;
  readonly source: string;
}

/** Release notes and patches of the PostgreSQL project, as far as they were published when this version was made. */
export const knownBugs: readonly KnownBug[] = [
  {
    id: 'concurrent-index-corruption',
    sentence: 'CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY can leave rows out of the index.',
    affects: { 14: [0, 4] },
    when: 'always',
    also: 'Afterwards rebuild every index that was made or rebuilt with CONCURRENTLY: REINDEX without CONCURRENTLY.',
    source: 'https://www.postgresql.org/docs/release/14.4/',
  },
  {
    id: 'failed-truncation',
    sentence: 'A truncation that the file system refuses can bring deleted rows back.',
    affects: { 14: [0, 16], 15: [0, 11], 16: [0, 7], 17: [0, 3] },
    when: 'always',
    also: null,
    source: 'https://www.postgresql.org/docs/release/17.3/',
  },
  {
    id: 'multixact-replay',
    sentence: 'Replaying WAL that an older minor wrote can stop with "could not access status of transaction".',
    affects: { 14: [21, 22], 15: [16, 17], 16: [12, 13], 17: [8, 9], 18: [2, 3] },
    when: 'always',
    also: 'Restore with programs of a newer minor, too: the fault is in whoever replays.',
    source: 'https://www.postgresql.org/docs/release/18.3/',
  },
  {
    id: 'summary-boundary',
    sentence:
      "PostgreSQL's own incremental backups, taken after a standby was promoted, can leave out blocks: updated rows come back as they were.",
    affects: { 17: [0, null], 18: [0, null] },
    when: 'summaries',
    also: 'Holdfast reads everything after a promotion; with other tools, take a full backup then.',
    source: 'https://www.mail-archive.com/pgsql-committers@lists.postgresql.org/msg50388.html',
  },
  {
    id: 'truncated-and-regrown',
    sentence:
      "PostgreSQL's own incremental backups can bring old pages back into a table that VACUUM made shorter and COPY made longer again.",
    affects: { 17: [0, null], 18: [0, null] },
    when: 'summaries',
    also: 'Holdfast holds each increment against the WAL; with other tools, take full backups often.',
    source: 'https://www.postgresql.org/message-id/attachment/200749/',
  },
  {
    id: 'summaries-out-of-order',
    sentence:
      "PostgreSQL's own incremental backups can leave out blocks of a table that VACUUM made shorter and that grew since, by the order in which a directory lists the summaries.",
    affects: { 17: [0, null], 18: [0, null] },
    when: 'summaries',
    also: 'Holdfast holds each increment against the WAL, and reads everything where it finds that; with other tools, take full backups often.',
    source: 'https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/backup/basebackup_incremental.c',
  },
  {
    id: 'stale-visibility-map',
    sentence:
      "PostgreSQL's own incremental backups can restore a visibility map that shows deleted rows, as neither checksums nor wal_log_hints are on.",
    affects: { 17: [0, null], 18: [0, null] },
    when: 'summaries-without-checksums',
    also: 'Holdfast always takes visibility maps whole; for other tools, turn on wal_log_hints, then take a full backup.',
    source: 'https://www.postgresql.org/message-id/attachment/208202/',
  },
];

/**
 * The last day, in UTC, on which the PostgreSQL project mends a major version.
 * Source: https://www.postgresql.org/support/versioning/
 */
export const supportedUntil: Readonly<Record<number, string>> = {
  ...{ 14: '2026-11-12', 15: '2027-11-11', 16: '2028-11-09', 17: '2029-11-08', 18: '2030-11-14' },
};

/** The known bugs that a server has, as it is set. */
export function findKnownBugs(
  { major, minor }: Pick<ServerVersion, 'major' | 'minor'>,
  settings: { readonly summarizesWal: boolean; readonly hasChecksums: boolean; readonly logsHints: boolean },
): KnownBug[] {
  return knownBugs.filter(({ affects, when }) => {
    const range = affects[major];
    if (range === undefined || minor < range[0] || (range[1] !== null && minor >= range[1])) return false;
    if (when === 'always') return true;
    return settings.summarizesWal && (when === 'summaries' || (!settings.hasChecksums && !settings.logsHints));
  });
}
