import { formatBytes, formatDuration } from '../../lib/index.ts';
import { STORE_CLOCK_OFFSET_MS_MAX } from '../../repository/index.ts';
import type { VolumeFacts } from '../volume.ts';
import { advice, type Check, checksOf, quoteWord, shell } from './check.ts';
import { plainLocale } from './gather-host.ts';
import type { HostFacts } from './host-facts.ts';
import type { DatabaseLocale, ServerFacts } from './server-facts.ts';

const { ok, unseen, warning, problem } = checksOf('host');

/** The same as in package.json. */
const NODE_MAJOR_MIN = 24;
const NODE_MINOR_MIN = 7;

/** Room below which something is done soon, and now. */
const FREE_SHARE_WARNED = 0.15;
const FREE_SHARE_MIN = 0.05;

/** A clock that is kept by somebody is right to a fraction of this; one that is wrong by more misses the moment of a restore. */
const OFFSET_MS_WARNED = 1_000;
const OFFSET_MS_MAX = STORE_CLOCK_OFFSET_MS_MAX;

/** Threads, segments and connections of a backup with many workers. */
const OPEN_FILES_MIN = 1024;

/** What is known of the server and of the store's clock; `null` when they were not asked. */
export interface HostQuestionForJudge {
  readonly clockOffset: ServerFacts['clockOffset'] | null;
  /** The least by which the store's clock is ahead of ours. */
  readonly storeOffsetMs: number | null;
  readonly locales: readonly DatabaseLocale[] | null;
}

/** Judges this host. Pure. */
export function judgeHost(facts: HostFacts, question: HostQuestionForJudge): Check[] {
  return [
    judgeNode(facts),
    ...judgeVolume(facts.volumes.repository, 'repository', 'the repository'),
    ...judgeVolume(facts.volumes.state, 'state', 'the state directory'),
    ...judgeVolume(facts.volumes.data, 'data', "the server's data"),
    judgeState(facts),
    judgeServerClock(question),
    judgeStoreClock(question),
    judgeTimeService(facts),
    judgePrograms(facts),
    judgeLocales(facts, question.locales),
    judgeUser(facts),
    judgeOpenFiles(facts),
  ];
}

function judgeNode({ nodeVersion }: HostFacts): Check {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  if (major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN)) {
    return ok('node-version', `Node.js is ${nodeVersion}.`);
  }
  return problem('node-version', `Node.js is ${nodeVersion}, which is too old.`, {
    found: nodeVersion,
    expected: `${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or later`,
    why: 'Parts that the engine is built on are not there.',
    mends: [advice(`Install Node.js ${NODE_MAJOR_MIN} from nodejs.org or your distribution.`)],
  });
}

function judgeVolume(volume: VolumeFacts | null, use: string, name: string): Check[] {
  if (volume === null) {
    return use === 'data' ? [] : [unseen(`space-${use}`, `How much room ${name} has could not be looked at.`)];
  }
  return [judgeSpace(volume, use, name), judgeFiles(volume, use, name)];
}

function judgeSpace(volume: VolumeFacts, use: string, name: string): Check {
  const share = volume.totalBytes === 0 ? 1 : volume.freeBytes / volume.totalBytes;
  const free = `${formatBytes(volume.freeBytes)} of ${formatBytes(volume.totalBytes)} free`;
  if (share >= FREE_SHARE_WARNED) return ok(`space-${use}`, `Beside ${name} there are ${free}.`);
  const parts = {
    found: `${free} at "${volume.seenAt}"`,
    expected: `more than ${FREE_SHARE_WARNED * 100} % free`,
    why:
      use === 'data'
        ? 'A full disk stops the server.'
        : 'On a full disk nothing more is stored, and the server keeps its WAL until its own disk is full.',
    mends: [
      advice('Make the file system larger, or remove what is not needed. The next line shows what takes the room.'),
      shell(`du -xh -d 2 ${quoteWord(volume.seenAt)} | sort -h | tail -20`),
    ],
  };
  const sentence = `There is little room for ${name}.`;
  return share < FREE_SHARE_MIN ? problem(`space-${use}`, sentence, parts) : warning(`space-${use}`, sentence, parts);
}

function judgeFiles(volume: VolumeFacts, use: string, name: string): Check {
  // File systems that make inodes as they are needed say 0.
  const share = volume.totalFiles === 0 ? 1 : volume.freeFiles / volume.totalFiles;
  if (share >= FREE_SHARE_MIN) return ok(`inodes-${use}`, `The file system of ${name} has room for more files.`);
  return problem(`inodes-${use}`, `The file system of ${name} has hardly any inodes left.`, {
    found: `${volume.freeFiles} of ${volume.totalFiles}`,
    expected: `more than ${FREE_SHARE_MIN * 100} %`,
    why: 'A file cannot be made although there is room for it.',
    mends: [
      advice('Remove files that are not needed. The next line shows where they are.'),
      shell(`du -x --inodes -d 2 ${quoteWord(volume.seenAt)} | sort -n | tail -20`),
    ],
  });
}

function judgeState({ stateProblem, volumes }: HostFacts): Check {
  if (stateProblem === null) return ok('state-directory', 'The state directory can be used.');
  const path = volumes.state?.path ?? '';
  return problem('state-directory', `The state directory "${path}" cannot be used.`, {
    found: stateProblem,
    expected: 'a directory that we may write to',
    why: 'Arriving WAL has no place to wait in, and a repository that lost its newest objects would not be noticed.',
    mends: [shell(`sudo install -d -m 700 -o "$(id -un)" ${quoteWord(path)}`)],
  });
}

function judgeServerClock({ clockOffset }: HostQuestionForJudge): Check {
  if (clockOffset === null) return unseen('clock-server', "The server's clock could not be looked at.");
  const { ms, uncertaintyMs } = clockOffset;
  return judgeOffset('clock-server', "the server's clock", Math.max(0, Math.abs(ms) - uncertaintyMs), ms);
}

function judgeStoreClock({ storeOffsetMs }: HostQuestionForJudge): Check {
  if (storeOffsetMs === null) return unseen('clock-store', "The store's clock could not be looked at.");
  return judgeOffset('clock-store', "the store's clock", Math.abs(storeOffsetMs), storeOffsetMs);
}

function judgeOffset(code: string, name: string, distance: number, signed: number): Check {
  if (distance < OFFSET_MS_WARNED) return ok(code, `Our clock and ${name} agree.`);
  const direction = signed > 0 ? 'ahead of' : 'behind';
  const parts = {
    found: `${formatDuration(Math.abs(signed))} ${direction} ours`,
    expected: `less than ${formatDuration(OFFSET_MS_WARNED)}`,
    why: 'A moment that somebody reads from a log of this host is another one there: a restore to it keeps the damage or loses good work.',
    mends: [shell('sudo timedatectl set-ntp true'), advice('Do so on both hosts, and look again after a minute.')],
  };
  const sentence = `Our clock and ${name} differ.`;
  return distance > OFFSET_MS_MAX ? problem(code, sentence, parts) : warning(code, sentence, parts);
}

function judgeTimeService({ isTimeSynchronized }: HostFacts): Check {
  if (isTimeSynchronized === null)
    return unseen('time-service', 'Whether this clock is kept by somebody else could not be looked at.');
  if (isTimeSynchronized) return ok('time-service', 'This clock is kept by a time service.');
  return warning('time-service', 'This clock is not kept by a time service.', {
    found: 'NTPSynchronized=no',
    expected: 'NTPSynchronized=yes',
    why: 'It drifts, and leases, ages and moments of a restore drift with it.',
    mends: [shell('sudo timedatectl set-ntp true')],
  });
}

function judgePrograms({ serverPrograms }: HostFacts): Check {
  const code = 'server-programs';
  switch (serverPrograms.kind) {
    case 'found':
      return ok(
        code,
        `Restores can start here: PostgreSQL ${serverPrograms.version} is in "${serverPrograms.directory}".`,
      );
    case 'unseen':
      return unseen(code, 'Which version of the server a restore would need is not known.');
    case 'absent':
      return warning(code, 'No restore could be started on this host.', {
        found: serverPrograms.sentence,
        expected: `the server's programs of PostgreSQL ${serverPrograms.major}`,
        why: 'In a disaster they would have to be found and installed first, and no backup can be proven here until then.',
        mends: [
          shell(`sudo apt-get install postgresql-${serverPrograms.major}`),
          advice('If they are in a place of their own, name it when you restore: --bin-dir.'),
        ],
      });
  }
}

/** Only of libc: those of ICU and the built-in one come with the server's programs. */
function judgeLocales({ locales, serverPrograms }: HostFacts, wanted: readonly DatabaseLocale[] | null): Check {
  const code = 'locales';
  if (wanted === null || locales === null)
    return unseen(code, 'Whether this host has the locales of the databases could not be looked at.');
  // These are in every system.
  const isEverywhere = (name: string) => /^(C|POSIX)(\.|$)/.test(name);
  const own = new Set(locales);
  const missing = wanted
    .filter(({ provider, locale }) => provider === 'libc' && !isEverywhere(locale) && !own.has(plainLocale(locale)))
    .map(({ locale }) => locale);
  const names = [...new Set(missing)];
  if (names.length === 0) return ok(code, 'This host has the locales of the databases.');
  return warning(code, 'This host lacks a locale of the databases.', {
    found:
      serverPrograms.kind === 'found' ? 'a restore here would start and then refuse the database' : 'none of that name',
    expected: names.join(', '),
    why: 'A restored database of that locale cannot be opened here.',
    mends: names.map((name) =>
      shell(
        `sudo localedef -i ${quoteWord(name.split('.')[0]!)} -f ${quoteWord(name.split('.')[1] ?? 'UTF-8')} ${quoteWord(name)}`,
      ),
    ),
  });
}

function judgeUser({ isRoot, serverUsers }: HostFacts): Check {
  if (!isRoot) return ok('user', 'We are not root, and a restored server can run as we do.');
  const [user] = serverUsers;
  if (user !== undefined) return ok('user', `We are root; a restored server runs as "${user}".`);
  return warning('user', 'We are root, and there is no user under whom a restored server could run.', {
    found: 'no user "postgres" or "nobody"',
    expected: 'one of them',
    why: 'PostgreSQL refuses to run as root, so no restore could be started here.',
    mends: [shell('sudo useradd --system postgres')],
  });
}

function judgeOpenFiles({ openFilesMax }: HostFacts): Check {
  if (openFilesMax === null) return unseen('open-files', 'How many files we may open could not be looked at.');
  if (openFilesMax >= OPEN_FILES_MIN)
    return ok(
      'open-files',
      `We may open ${openFilesMax === Number.POSITIVE_INFINITY ? 'any number of' : openFilesMax} files.`,
    );
  return warning('open-files', `We may open ${openFilesMax} files only.`, {
    found: String(openFilesMax),
    expected: `${OPEN_FILES_MIN} or more`,
    why: 'A backup or a restore with many workers fails half-way.',
    mends: [shell(`ulimit -n ${OPEN_FILES_MIN * 4}`)],
  });
}
