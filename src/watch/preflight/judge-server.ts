import { formatBytes, formatQuantity } from '../../lib/index.ts';
import { SERVER_MAJOR_MAX, SERVER_MAJOR_MIN } from '../../postgres/index.ts';
import { advice, type Check, checksOf, quoteWord, setParameter, shell, sql } from './check.ts';
import { findKnownBugs, supportedUntil } from './known-bugs.ts';
import type { ServerFacts } from './server-facts.ts';

const { ok, unseen, warning, problem } = checksOf('server');

/** Pages of another size are refused by name: fingerprints, extents and increments are made for this one. */
const BLOCK_BYTES = 8192;

/** What is known besides the server itself. */
export interface ServerQuestion {
  readonly cluster: string;
  /** The systems that the repository keeps under this name; `null` when it was not looked at. */
  readonly knownSystems: readonly string[] | null;
  /** By our clock, milliseconds since 1970. */
  readonly now: number;
}

/** Judges what the server is and how it keeps its data. Pure. */
export function judgeServer(facts: ServerFacts, question: ServerQuestion): Check[] {
  return [
    judgeVersion(facts),
    ...judgeSupport(facts, question.now),
    ...judgeBugs(facts),
    facts.isPrimary ? ok('server-role', 'The server is a primary.') : standby(),
    judgeSystem(facts, question),
    judgeBlockSize(facts),
    ok('wal-segment-size', `WAL segments have ${formatBytes(facts.walSegmentBytes)}.`),
    judgeChecksums(facts),
    judgeSwitch(
      facts,
      'fsync',
      'A crash of the machine can destroy the cluster beyond repair, and backups copy what is left.',
    ),
    judgeSwitch(
      facts,
      'full_page_writes',
      'A page torn by a crash cannot be repaired from WAL, and a base backup from a standby fails.',
    ),
    judgeConfiguration(facts),
    judgePendingRestart(facts),
    judgeWalRate(facts),
  ];
}

function judgeVersion({ version }: ServerFacts): Check {
  const { major, text } = version;
  if (major >= SERVER_MAJOR_MIN && major <= SERVER_MAJOR_MAX) {
    return ok('version', `The server is PostgreSQL ${text}.`);
  }
  return problem('version', `The server is PostgreSQL ${text}, which was never tried.`, {
    found: String(major),
    expected: `a major version from ${SERVER_MAJOR_MIN} to ${SERVER_MAJOR_MAX}`,
    why: 'Nobody knows whether what is backed up could be restored.',
    mends: [advice(`Upgrade the server to PostgreSQL ${SERVER_MAJOR_MAX}, or use another version of Holdfast.`)],
  });
}

function judgeSupport({ version }: ServerFacts, now: number): Check[] {
  const until = supportedUntil[version.major];
  if (until === undefined) return [];
  if (now < Date.parse(`${until}T24:00:00Z`)) {
    return [ok('version-support', `PostgreSQL ${version.major} is mended until ${until}.`)];
  }
  return [
    warning('version-support', `PostgreSQL ${version.major} is not mended any more since ${until}.`, {
      found: version.text,
      expected: 'a major version that the PostgreSQL project supports',
      why: 'Faults that lose data, and holes that let somebody in, stay as they are.',
      mends: [advice('Upgrade to a newer major version with pg_upgrade, then run holdfast backup.')],
    }),
  ];
}

function judgeBugs({ version, settings, hasChecksums }: ServerFacts): Check[] {
  const isOn = (name: string) => settings.get(name)?.value === 'on';
  const found = findKnownBugs(version, {
    ...{ summarizesWal: isOn('summarize_wal'), hasChecksums, logsHints: isOn('wal_log_hints') },
  });
  if (found.length === 0)
    return [ok('known-bugs', `No fault of ${version.major}.${version.minor} that loses data is known here.`)];
  return found.map(({ id, sentence, affects, also, source }) => {
    const fixedIn = affects[version.major]?.[1] ?? null;
    const parts = {
      found: `${version.major}.${version.minor}`,
      why: `This is a fault of PostgreSQL itself: ${source}`,
      mends: [
        fixedIn === null
          ? advice(`Update to the newest minor of PostgreSQL ${version.major}; which one mends it is not known here.`)
          : advice(`Update the server to PostgreSQL ${version.major}.${fixedIn} or a later minor.`),
        ...(also === null ? [] : [advice(also)]),
      ],
    };
    if (fixedIn === null) return warning(`known-bug-${id}`, sentence, parts);
    return problem(`known-bug-${id}`, sentence, { ...parts, expected: `${version.major}.${fixedIn} or later` });
  });
}

function standby(): Check {
  return warning('server-role', 'The server is a standby.', {
    found: 'in recovery',
    expected: 'a primary',
    why: 'What the primary commits reaches a standby later, and a standby that falls behind takes the backups with it.',
    mends: [advice('Point the connection at the primary, or be content with the distance.')],
  });
}

function judgeSystem({ system }: ServerFacts, { cluster, knownSystems }: ServerQuestion): Check {
  if (knownSystems === null)
    return unseen('system', `Whether system ${system} is the one that is kept could not be looked at.`);
  if (knownSystems.length === 0) return ok('system', `System ${system} is new to the repository.`);
  if (knownSystems.includes(system)) return ok('system', `System ${system} is the one that is kept as "${cluster}".`);
  return problem('system', `The server is another cluster than the one that is kept as "${cluster}".`, {
    found: `system ${system}`,
    expected: `system ${knownSystems.join(' or ')}`,
    why: 'Backups of two clusters under one name are taken for each other when one of them is lost.',
    mends: [advice('Check the connection. If this is another cluster, give it a name of its own with --cluster.')],
  });
}

function judgeBlockSize({ blockBytes }: ServerFacts): Check {
  if (blockBytes === BLOCK_BYTES) return ok('block-size', `Pages have ${BLOCK_BYTES} bytes.`);
  return problem('block-size', `Pages have ${blockBytes} bytes, which is not supported.`, {
    found: String(blockBytes),
    expected: String(BLOCK_BYTES),
    why: 'A backup of this server is refused.',
    mends: [advice('Move the data to a server that was compiled with pages of 8 KiB.')],
  });
}

function judgeChecksums({ hasChecksums, settings }: ServerFacts): Check {
  if (hasChecksums) return ok('data-checksums', 'Pages have checksums.');
  const directory = settings.get('data_directory')?.value;
  return warning('data-checksums', 'Pages have no checksums.', {
    found: 'off',
    expected: 'on',
    why: 'A page that the disk has spoiled is backed up without anybody noticing, until no good copy is left.',
    mends: [
      advice('Stop the server for as long as it takes to read all of it, then run the next line as its user.'),
      shell(`pg_checksums --enable --progress -D ${directory === undefined ? '"$PGDATA"' : quoteWord(directory)}`),
    ],
  });
}

function judgeSwitch({ settings }: ServerFacts, name: string, why: string): Check {
  const value = settings.get(name)?.value;
  const code = name.replaceAll('_', '-');
  if (value === undefined) return unseen(code, `The server did not say what ${name} is.`);
  if (value === 'on') return ok(code, `${name} is on.`);
  const parts = { found: value, expected: 'on', why, mends: setParameter(name, 'on') };
  return problem(code, `${name} is ${value}.`, parts);
}

function judgeConfiguration({ configurationErrors }: ServerFacts): Check {
  const code = 'configuration-files';
  if (configurationErrors === null)
    return unseen(code, 'Only a superuser may look for mistakes in the configuration files.');
  const [first] = configurationErrors;
  if (first === undefined) return ok(code, 'The configuration files have no mistakes.');
  const told = configurationErrors.map(({ file, line, name, error }) =>
    `${file}:${line}: ${name ?? ''} ${error}`.trim(),
  );
  return problem(code, 'The configuration files have a mistake: the server would not start again.', {
    found: told.join('; '),
    expected: 'lines that this version understands',
    why: 'After the next restart, planned or not, the server stays down.',
    mends: [
      ...configurationErrors.map(({ file, line }) => shell(`sed -i '${line}s/^/# /' ${quoteWord(file)}`)),
      sql('SELECT pg_reload_conf();'),
    ],
  });
}

function judgePendingRestart({ settings }: ServerFacts): Check {
  const waiting = [...settings].filter(([, { isPendingRestart }]) => isPendingRestart).map(([name]) => name);
  if (waiting.length === 0) return ok('pending-restart', 'No setting waits for a restart.');
  return warning(
    'pending-restart',
    `${formatQuantity(waiting.length, 'setting')} will be in force after a restart only.`,
    {
      found: waiting.join(', '),
      why: 'What was set up is not in force, and the next restart changes how the server runs.',
      mends: [restartCommand(settings)],
    },
  );
}

/** Whoever started the server restarts it; where it lies is all that it tells of that. */
export function restartCommand(settings: ServerFacts['settings']) {
  const directory = settings.get('data_directory')?.value;
  if (directory === undefined) return advice('Restart the server in the way in which it was started.');
  return shell(`pg_ctl restart -m fast -D ${quoteWord(directory)}  # or in the way in which it was started`);
}

function judgeWalRate({ walBytesPerSecond }: ServerFacts): Check {
  const code = 'wal-rate';
  if (walBytesPerSecond === null) return unseen(code, 'How much WAL the server writes cannot be told yet.');
  const perDay = walBytesPerSecond * 24 * 60 * 60;
  return ok(code, `The server writes about ${formatBytes(Math.round(perDay))} of WAL in a day, on average so far.`);
}
