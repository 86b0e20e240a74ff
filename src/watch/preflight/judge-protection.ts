import { formatBytes, formatDuration } from '../../lib/index.ts';
import type { ClusterStatus, Finding } from '../status.ts';
import { type Check, checksOf, type Mend, advice as say, shell } from './check.ts';

const { ok, warning, problem } = checksOf('protection');

/** A day, and an hour for a backup that took longer than the one before. */
const BACKUP_AGE_MS_MAX = 25 * 60 * 60 * 1000;

/** What the status says of the cluster, and whether the store still has what its ledger had. */
export interface ProtectionFacts {
  readonly status: Pick<ClusterStatus, 'cluster' | 'now' | 'newest' | 'wal' | 'findings'>;
  /** About the repository as a whole. */
  readonly findings: readonly Finding[];
  /** One sentence for each head that the store has no more (rule B4); `null` when the state directory could not be read. */
  readonly regressions: readonly string[] | null;
}

/** Judges how well the cluster is protected at this moment. Pure. */
export function judgeProtection(facts: ProtectionFacts): Check[] {
  const { status } = facts;
  // What is to be said of the server itself is said where it was asked for itself.
  const own = [...facts.findings, ...status.findings].filter(
    ({ code }) => !['server-unreachable', 'other-system'].includes(code),
  );
  return [
    ...own.map(checkOfFinding),
    ...judgeAge(status),
    ...judgeTest(status),
    ...judgeReceiver(status),
    ...judgeHeads(facts),
  ];
}

/** Commands that mend what the status finds, by the code of its finding. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'no-snapshot': ['holdfast backup'],
  'snapshot-without-wal': ['holdfast backup'],
  'snapshot-doubtful': ['holdfast backup --type full'],
  'lineage-without-snapshot': ['holdfast backup'],
  gap: ['holdfast backup'],
  'no-wal': ['holdfast wal stream'],
  'no-receiver': ['holdfast wal stream'],
  'behind-server': ['holdfast wal stream'],
  'server-behind': ['holdfast backup'],
  'snapshot-unreadable': ['holdfast verify', 'holdfast backup'],
  'wal-damaged': ['holdfast verify', 'holdfast backup'],
  damage: ['holdfast backup', 'holdfast repository heal'],
  'damage-unjudged': ['holdfast verify --all'],
};

/** Which loss each of them leads to; what is not named here says it itself. */
const losses: Readonly<Record<string, string>> = {
  'no-snapshot': 'After a loss of the server nothing is left.',
  'no-wal': 'Everything written since the newest backup is lost with the server.',
  'no-receiver': 'What is written now is lost with the server.',
  'behind-server': 'What is written now is lost with the server.',
  'receiver-behind': 'What the receiver has not stored is lost with the server.',
};

function checkOfFinding({ severity, code, sentence, advice }: Finding): Check {
  const mends: Mend[] = (commands[code] ?? []).map(shell);
  if (mends.length === 0 && advice !== null) mends.push(say(advice));
  const why = losses[code] ?? 'A restore would not reach what you expect it to.';
  return severity === 'problem' ? problem(code, sentence, { why, mends }) : warning(code, sentence, { why, mends });
}

function judgeAge({ newest, now }: ProtectionFacts['status']): Check[] {
  if (newest === null) return [];
  const age = now - newest.completedAt;
  if (age <= BACKUP_AGE_MS_MAX) return [ok('backup-age', `The newest backup is ${formatDuration(age)} old.`)];
  return [
    warning('backup-age', `The newest backup is ${formatDuration(age)} old.`, {
      found: formatDuration(age),
      expected: `at most ${formatDuration(BACKUP_AGE_MS_MAX)}`,
      why: 'A restore replays all WAL since then, and takes that much longer.',
      mends: [shell('holdfast backup')],
    }),
  ];
}

function judgeTest({ newest }: ProtectionFacts['status']): Check[] {
  // That it is damaged or in doubt is told by the findings of the status.
  if (newest === null || newest.isDamaged || newest.isDoubtful) return [];
  if (newest.level === 'verified' || newest.level === 'proven') {
    return [ok('backup-tested', `The newest backup is ${newest.level}.`)];
  }
  return [
    warning('backup-tested', 'The newest backup was stored, and nobody has read it since.', {
      found: newest.level ?? 'not attested',
      expected: 'verified or proven',
      why: 'A backup that was never read may turn out to be damaged on the day on which it is needed.',
      mends: [shell(`holdfast verify ${newest.id.slice(0, 12)}`)],
    }),
  ];
}

function judgeReceiver({ wal, findings }: ProtectionFacts['status']): Check[] {
  if (wal?.receiver?.running !== true || findings.some(({ code }) => code === 'receiver-behind')) return [];
  const gaps = wal.gaps.reduce((sum, { start, end }) => sum + (end - start), 0n);
  const told = gaps === 0n ? 'without a gap' : `with gaps of ${formatBytes(gaps)}`;
  return [ok('receiver', `A receiver stores WAL, ${told}.`)];
}

/** Rule B4. */
function judgeHeads({ regressions }: ProtectionFacts): Check[] {
  if (regressions === null)
    return [checksOf('protection').unseen('ledger-heads', 'What this host remembers of the ledger could not be read.')];
  if (regressions.length === 0)
    return [ok('ledger-heads', 'The repository has all that this host remembers of its ledger.')];
  return [
    problem('ledger-heads', 'The repository has lost or changed what its ledger had.', {
      found: regressions.join(' '),
      expected: 'every entry that was there',
      why: 'Somebody put the store back or hides objects: the newest backups may be missing, too.',
      mends: [
        say(
          'Find out which of the two it was, and look at copies of the repository. Then, and only then, go on with the next line.',
        ),
        shell('holdfast repository acknowledge'),
      ],
    }),
  ];
}
