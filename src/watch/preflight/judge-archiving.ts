import { formatDuration, formatMoment } from '../../lib/index.ts';
import { advice, type Check, checksOf, type Mend, quoteWord, setParameter, shell } from './check.ts';
import type { ServerFacts } from './server-facts.ts';

const { ok, unseen, warning, problem } = checksOf('server');

/** So many segments may wait while the archiver does its work. */
const WAITING_SEGMENTS_MAX = 8;

/** Judges `archive_command`, ours or somebody else's: one that fails fills pg_wal, and one that overwrites destroys an archive. Pure. */
export function judgeArchiving(facts: ServerFacts, known: { readonly receiverRuns: boolean | null }): Check[] {
  const mode = facts.settings.get('archive_mode')?.value;
  if (mode === undefined) return [unseen('archive-mode', 'The server did not say what archive_mode is.')];
  if (mode === 'off') return [ok('archive-mode', 'archive_mode is off; WAL can leave the server by streaming only.')];
  return [
    ok('archive-mode', `archive_mode is ${mode}.`),
    ...judgeCommand(facts),
    judgeSuccess(facts),
    judgeWaiting(facts),
    ...judgeTimeout(facts, known.receiverRuns),
  ];
}

const useOurs: readonly Mend[] = [shell('holdfast database setup --archive')];

function judgeCommand({ settings }: ServerFacts): Check[] {
  const command = settings.get('archive_command')?.value ?? '';
  if ((settings.get('archive_library')?.value ?? '') !== '') {
    return [ok('archive-command', 'A library archives WAL.')];
  }
  // What the server shows when the command is empty although archiving is on.
  if (command === '' || command === '(disabled)') {
    return [
      problem('archive-command', 'archive_mode is on, and there is no archive_command.', {
        found: 'none',
        expected: 'a command, or archive_mode off',
        why: 'The server keeps all WAL for an archiver that never takes it, until its disk is full.',
        mends: useOurs,
      }),
    ];
  }
  const danger = findArchiveDanger(command);
  if (danger === null)
    return [ok('archive-command', 'The archive_command refuses or cannot do what would destroy an archive.')];
  const parts = { found: command, expected: 'a command that never overwrites another content', why: danger.why };
  return danger.isLoss
    ? [problem('archive-command', danger.sentence, { ...parts, mends: useOurs })]
    : [warning('archive-command', danger.sentence, { ...parts, mends: useOurs })];
}

interface ArchiveDanger {
  readonly isLoss: boolean;
  readonly sentence: string;
  readonly why: string;
}

/**
 * What is dangerous about an archive_command, as far as its words tell; `null` when nothing is.
 * Source: PostgreSQL manual, "Setting Up WAL Archiving": it must return zero only on success, and refuse to overwrite.
 */
export function findArchiveDanger(command: string): ArchiveDanger | null {
  const text = command.trim();
  if (/^(\/usr)?(\/bin\/)?(true|:)\b/.test(text) || /(\|\||;)\s*(\/bin\/)?(true|:|exit 0)\s*$/.test(text)) {
    return {
      isLoss: true,
      sentence: 'The archive_command says that it succeeded whatever happens.',
      why: 'The server removes WAL that was stored nowhere.',
    };
  }
  const isGuarded = /\btest\s+!|\[\s+!|--ignore-existing|--if-none-match|\s-n\b|--no-clobber|set -o noclobber/.test(
    text,
  );
  const overwrites = /\baws\s+s3\s+(cp|mv)\b|\bgsutil\s+(cp|mv)\b|\baz\s+storage\b|\brclone\b|\bs3cmd\s+put\b/.test(
    text,
  );
  const copies = /^\s*(\S*\/)?(cp|mv|rsync|scp|dd|gzip|zstd|lz4)\b/.test(text) || /[^>]>[^>&]/.test(text);
  if (isGuarded || !(overwrites || copies)) return null;
  return {
    isLoss: false,
    sentence: 'The archive_command overwrites what is archived under the same name.',
    why: 'A second server, or one that was put back, destroys the archive of the first one segment by segment.',
  };
}

function judgeSuccess({ archiver, settings }: ServerFacts): Check {
  const { lastArchivedAt, lastFailedAt, lastFailedName } = archiver;
  const isFailing = lastFailedAt !== null && (lastArchivedAt === null || lastFailedAt > lastArchivedAt);
  if (!isFailing) {
    const since =
      lastArchivedAt === null ? 'Nothing was archived yet' : `Last archived at ${formatMoment(lastArchivedAt)}`;
    return ok('archiving', `${since}, and no failure since.`);
  }
  const command = settings.get('archive_command')?.value ?? '';
  return problem('archiving', 'Archiving fails.', {
    found: `"${lastFailedName ?? ''}" failed at ${formatMoment(lastFailedAt)}`,
    expected: 'segments that are archived at once',
    why: 'WAL piles up in pg_wal until the disk is full and the server stops; what is not archived is lost with the server.',
    mends: [
      advice("Run the command by hand as the server's user to see what it says; mend that, or set up Holdfast's own."),
      ...tryCommand(command, lastFailedName, settings.get('data_directory')?.value),
      ...useOurs,
    ],
  });
}

/** The command as the server runs it: in its data directory, with both names put in. */
function tryCommand(command: string, name: string | null, directory: string | undefined): Mend[] {
  if (command === '' || command.startsWith('(') || name === null || directory === undefined) return [];
  const places: Readonly<Record<string, string>> = { '%p': `pg_wal/${name}`, '%f': name, '%%': '%' };
  return [shell(`cd ${quoteWord(directory)} && ${command.replaceAll(/%[pf%]/g, (place) => places[place]!)}`)];
}

function judgeWaiting({ waitingForArchive }: ServerFacts): Check {
  if (waitingForArchive === null)
    return unseen('archive-queue', 'How many segments wait to be archived may not be seen.');
  if (waitingForArchive <= WAITING_SEGMENTS_MAX) {
    return ok('archive-queue', `${waitingForArchive} segments wait to be archived.`);
  }
  return warning('archive-queue', `${waitingForArchive} segments wait to be archived.`, {
    found: String(waitingForArchive),
    expected: `at most ${WAITING_SEGMENTS_MAX}`,
    why: 'What waits is lost with the server, and fills its disk.',
    mends: useOurs,
  });
}

/** Only whole segments are archived: without a time-out an idle server keeps the last one for ever. */
function judgeTimeout({ settings }: ServerFacts, receiverRuns: boolean | null): Check[] {
  const setting = settings.get('archive_timeout');
  if (setting === undefined || receiverRuns === true) return [];
  const seconds = Number(setting.value);
  if (seconds > 0) {
    return [ok('archive-timeout', `A segment is archived after ${formatDuration(seconds * 1000)} at the latest.`)];
  }
  return [
    warning('archive-timeout', 'archive_timeout is 0: a segment is archived only when it is full.', {
      found: '0',
      expected: '60s, or a running receiver',
      why: 'What was written to the last segment, perhaps for hours, is lost with the server.',
      mends: setParameter('archive_timeout', '60s'),
    }),
  ];
}
