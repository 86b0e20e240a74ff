import { formatBytes, formatCount, formatDuration, formatQuantity, HoldfastError, withHint } from '../../lib/index.ts';
import type { DamagedObject, Sample, SnapshotProblem, VerificationResult, WalScope } from '../../prove/index.ts';
import type { SnapshotRecord } from '../../repository/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { placeErrorDocument } from '../copies-text.ts';
import { fromPlaceFlag } from '../from-place.ts';
import { isoTime, type Json, type Paint, shortId } from '../output/index.ts';

/** `holdfast verify`. */
export const verify: Command = {
  path: ['verify'],
  summary: 'Read again every byte that snapshots need, prove it, and say what is damaged and what that costs.',
  details: [
    'Damage is recorded, so that the next backup stores again what is still there; a sound snapshot is attested as verified.',
    'Without a snapshot, --wal or --since the newest one of each cluster is verified.',
    'With --all everything is read: packs that nothing needs, all WAL, records, signatures, the ledger and the form of the key slots.',
  ],
  examples: [
    { line: 'holdfast verify', does: 'The newest snapshot, and the WAL that it needs.' },
    { line: 'holdfast verify --all', does: 'All that is stored.' },
    { line: 'holdfast verify --all --sample 5', does: 'A twentieth of it, another one each time.' },
    { line: 'holdfast verify --all --from west', does: 'What the copy "west" has; nothing is recorded.' },
    { line: 'holdfast verify --wal 0/3000000..0/9000000', does: 'The WAL between two positions.' },
  ],
  access: (input) => (isOnlyReport(input) ? 'read' : 'write'),
  readsFromPlace: true,
  readsWithoutPrimary: true,
  database: 'none',
  planOptions: ['cluster.name'],
  arguments: [{ name: '[snapshot...]', help: 'Ids, or so many of their first digits that no other begins with them.' }],
  flags: [
    { flag: '--all', help: 'Every snapshot, all WAL, and everything else that is stored.' },
    { flag: '--wal <from..to>', help: 'The WAL between two positions, such as 0/3000000..0/9000000.' },
    { flag: '--since <time>', help: 'The snapshots that were completed and the WAL that was stored since then.' },
    {
      flag: '--sample <percent>',
      help: 'Read only so many per cent of the packs and WAL in scope; nothing is attested.',
    },
    { flag: '--seed <number>', help: 'Chooses the sample: the same number, the same objects. (default: drawn)' },
    {
      flag: '--read-only',
      help: 'Only report: record and attest nothing. While the primary is away, the copies are read.',
    },
    fromPlaceFlag,
  ],
  run: async (context, input) => {
    const sample = await readSample(input);
    const scope = await chooseScope(context, input);
    const { verifySnapshots } = await import('../../prove/index.ts');
    const result = await verifySnapshots({
      repository: context.repository,
      ...scope,
      ...(sample === null ? {} : { sample }),
      record: context.repository.access !== 'read',
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
    }).catch((error: unknown) => {
      throw withReadOnlyHint(error);
    });
    const { formatLsn } = await import('../../postgres/index.ts');
    const { checksumFailuresOf: marksOf } = await import('../../protect/backup/index.ts');
    return {
      reason: result.isSound ? 'done' : 'problemFound',
      json: verificationDocument(result, sample, { formatLsn, marksOf }),
      text: (paint) => verificationText(result, sample, marksOf, paint),
    };
  },
};

/** What another place holds says nothing of the primary, where findings are recorded. */
function isOnlyReport(input: CommandInput): boolean {
  return input.isSet('read-only') || input.optional('from') !== undefined;
}

/** Verdicts are recorded at the end: on a repository that takes no more writes all the reading would have been for nothing a second time. */
function withReadOnlyHint(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || !['STORE_DENIED', 'STORE_FULL'].includes(error.code)) return error;
  return withHint(error, 'Run holdfast verify --read-only: it reports the same and writes nothing.');
}

interface Scope {
  readonly snapshots?: readonly SnapshotRecord[];
  readonly wal?: WalScope;
}

/** Everything when nothing is set. */
async function chooseScope(context: CommandContext, input: CommandInput): Promise<Scope> {
  const named = input.all('snapshot');
  const [range, since] = [input.optional('wal'), input.optional('since')];
  refuseMixture(input, named);
  if (input.isSet('all')) return {};
  const { repository, plan } = context;
  const cluster = plan.cluster.nameOrigin === null ? undefined : plan.cluster.name;
  const ofCluster = cluster === undefined ? {} : { cluster };
  const snapshots: SnapshotRecord[] = [];
  for (const id of named) snapshots.push(await repository.findSnapshot(id));
  if (range !== undefined) return { snapshots, wal: { kind: 'range', ...ofCluster, ...(await readRange(range)) } };
  if (since !== undefined) {
    const moment = await readMoment(since);
    const all = (await repository.listSnapshots()).snapshots;
    const recent = all.filter(
      (each) => Date.parse(each.completedAt) >= moment && (cluster ?? each.cluster) === each.cluster,
    );
    return { snapshots: recent, wal: { kind: 'since', ...ofCluster, since: moment } };
  }
  return { snapshots: named.length > 0 ? snapshots : await newestSnapshots(context) };
}

function refuseMixture(input: CommandInput, named: readonly string[]): void {
  const chosen = [
    ...(named.length > 0 ? ['a snapshot'] : []),
    ...(input.isSet('all') ? ['--all'] : []),
    ...(input.optional('wal') === undefined ? [] : ['--wal']),
    ...(input.optional('since') === undefined ? [] : ['--since']),
  ];
  // One snapshot and a range of WAL go together; the others each say all that is meant.
  if (chosen.length < 2 || (chosen.length === 2 && chosen.join() === 'a snapshot,--wal')) return;
  throw new HoldfastError('USAGE_INVALID', `cannot verify ${chosen.join(' and ')} at once`, {
    hints: ['Name snapshots, perhaps with --wal; or give one of --all and --since.'],
  });
}

async function readRange(text: string): Promise<{ from: bigint; to: bigint }> {
  const { parseLsn } = await import('../../postgres/index.ts');
  const [from, to, ...rest] = text.split('..');
  if (from !== undefined && to !== undefined && rest.length === 0) {
    const range = { from: parseLsn(from), to: parseLsn(to) };
    if (range.from < range.to) return range;
  }
  throw new HoldfastError('USAGE_INVALID', `invalid range of WAL "${text}"`, {
    detail: 'Expected two positions, the lower one first, with two dots between them.',
    hints: ['Write for example --wal 0/3000000..0/9000000; holdfast wal status shows what is stored.'],
  });
}

/** Milliseconds since 1970. */
async function readMoment(text: string): Promise<number> {
  const { parseRecoveryTarget } = await import('../../restore/index.ts');
  const { timestampToMilliseconds } = await import('../../postgres/index.ts');
  const target = parseRecoveryTarget(text);
  if (target.kind === 'time') return timestampToMilliseconds(target.at);
  throw new HoldfastError('USAGE_INVALID', `invalid time "${text}"`, {
    hints: ['Write a date and a time with a zone, such as 2026-11-23T09:00:00Z.'],
  });
}

async function readSample(input: CommandInput): Promise<Sample | null> {
  const [percent, seed] = [input.optional('sample'), input.optional('seed')];
  if (percent === undefined && seed === undefined) return null;
  const { randomInt } = await import('node:crypto');
  const sample = { percent: Number(percent), seed: seed === undefined ? randomInt(2 ** 31) : Number(seed) };
  const isValid = sample.percent > 0 && sample.percent <= 100 && Number.isSafeInteger(sample.seed) && sample.seed >= 0;
  if (isValid) return sample;
  throw new HoldfastError('USAGE_INVALID', 'invalid sample', {
    detail: 'Expected --sample above 0 and up to 100, and with it perhaps --seed, a whole number from 0 on.',
    hints: ['Write for example --sample 5 --seed 42.'],
  });
}

/** The newest snapshot of each cluster, or of the one that was named. */
async function newestSnapshots({ repository, plan }: CommandContext): Promise<SnapshotRecord[]> {
  const { snapshots } = await repository.listSnapshots();
  const { name, nameOrigin } = plan.cluster;
  const own = snapshots.filter(({ cluster }) => nameOrigin === null || cluster === name);
  if (own.length > 0) return [...new Map(own.map((snapshot) => [snapshot.cluster, snapshot])).values()];
  const known = [...new Set(snapshots.map(({ cluster }) => `"${cluster}"`))];
  throw new HoldfastError(
    'SNAPSHOT_ABSENT',
    nameOrigin === null ? 'cannot verify: there is no snapshot' : `cannot verify: there is no snapshot of "${name}"`,
    {
      detail: known.length === 0 ? 'The repository holds none at all.' : `There are snapshots of ${known.join(', ')}.`,
      hints: [
        known.length === 0 ? 'Run `holdfast backup`.' : 'Name one of these with --cluster, or run `holdfast backup`.',
      ],
    },
  );
}

type FormatLsn = (lsn: bigint) => string;
/** What the server said of damaged pages while it was backed up: stored as they were, and no fault of the store. */
type MarksOf = (snapshot: SnapshotRecord) => readonly string[];

function verificationDocument(
  result: VerificationResult,
  sample: Sample | null,
  { formatLsn, marksOf }: { formatLsn: FormatLsn; marksOf: MarksOf },
): { readonly [key: string]: Json } {
  return {
    sound: result.isSound,
    primaryAway: placeErrorDocument(result.primaryAway),
    snapshots: result.snapshots.map(({ snapshot, problems }) => ({
      snapshot: snapshot.id,
      cluster: snapshot.cluster,
      sound: problems.length === 0,
      problems: problems.map((problem): Json => ({ ...problem })),
      checksumFailures: [...marksOf(snapshot)],
    })),
    packs: result.packsChecked,
    chunks: result.chunksChecked,
    walObjects: result.walObjectsChecked,
    bytesRead: result.bytesRead,
    seconds: result.seconds,
    sample: sample === null ? null : { ...sample },
    damage: result.damage.map((found) => damageDocument(found, formatLsn)),
    damagedPacks: result.damagedPacks.map(({ pack, sentences, isLost, badOffsets }) => ({
      ...{ object: pack, sentences, lost: isLost },
      badChunks: badOffsets.size,
    })),
    damagedWal: result.damagedWal.map((finding) => ({ ...finding })),
    unreadable: result.unreadable.map((finding) => ({ ...finding })),
    denied: result.denied.map((finding) => ({ ...finding })),
    flaky: result.flaky,
    unreferenced: result.unreferenced === null ? null : { ...result.unreferenced },
  };
}

function damageDocument(found: DamagedObject, formatLsn: FormatLsn): Json {
  const { object, sentences, state, costSentence, snapshots, wal, advice } = found;
  const time = (at: number | null) => (at === null ? null : isoTime(at));
  return {
    ...{ object, sentences, state, cost: costSentence, advice },
    snapshots: snapshots.map((each) => ({ ...each })),
    wal: wal.map(({ system, lineage, cluster, timeline, lostStart, lostEnd, from, to, fromTime, toTime }) => ({
      ...{ system, lineage, cluster, timeline },
      lost: { start: formatLsn(lostStart), end: formatLsn(lostEnd) },
      unreachable: { from: formatLsn(from), to: to === null ? null : formatLsn(to) },
      unreachableTime: { from: time(fromTime), to: time(toTime) },
      seconds: fromTime === null || toTime === null ? null : Math.max(0, toTime - fromTime) / 1000,
    })),
  };
}

function verificationText(result: VerificationResult, sample: Sample | null, marksOf: MarksOf, paint: Paint): string[] {
  const { packsChecked, chunksChecked, walObjectsChecked, bytesRead, seconds, damage } = result;
  const advice = new Set(damage.flatMap((found) => found.advice));
  const hasRecorded = damage.some(({ state }) => state === 'harmless');
  return [
    ...result.snapshots.flatMap(({ snapshot, problems }) => [
      `${verdictWord(problems, sample, paint)}  ${paint.strong(shortId(snapshot.id))} of ${snapshot.cluster}`,
      ...problems.map((problem) => `    ${describeProblem(problem)}`),
      ...marksOf(snapshot).map((mark) => `    ${paint.warning('damaged on the server already:')} ${mark}`),
    ]),
    ...(damage.length === 0 ? [] : ['', paint.strong('Damaged objects')]),
    ...damage.flatMap((found) => damageText(found, paint)),
    ...(result.denied.length === 0 ? [] : ['', paint.strong('Objects that could not be read: not permitted')]),
    ...result.denied.map(({ object, sentence }) => `${paint.warning(object)}  ${sentence}`),
    ...result.flaky.map(
      (object) =>
        `${paint.warning('!')} ${object} could be read only the second time: look at the disk that it lies on or the line to its store, and at the memory of this machine.`,
    ),
    '',
    ...(result.primaryAway === null
      ? []
      : [
          `${paint.warning('!')} This is said of the copies: the primary was not read, and nothing is recorded (${result.primaryAway.message}).`,
        ]),
    `Read ${formatBytes(bytesRead)} in ${formatDuration(seconds * 1000)}: ${formatCount(chunksChecked)} chunks in ${formatQuantity(packsChecked, 'pack')}, ${formatQuantity(walObjectsChecked, 'object')} of WAL.`,
    ...(sample === null ? [] : [`A sample of ${sample.percent} % (seed ${sample.seed}): nothing was attested.`]),
    ...unreferencedText(result),
    ...[...advice].map((sentence) => `${paint.accent('→')} ${sentence}`),
    ...(advice.size === 0 && hasRecorded
      ? [`${paint.accent('→')} What nothing needs is recorded now; the next verification counts it as healed.`]
      : []),
  ];
}

function verdictWord(problems: readonly SnapshotProblem[], sample: Sample | null, paint: Paint): string {
  if (problems.length === 0) return sample === null ? paint.good('✓ sound') : paint.good('✓ nothing found');
  return problems.every(({ kind }) => kind === 'unread') ? paint.warning('? not known') : paint.bad('✗ damaged');
}

function damageText({ object, sentences, state, costSentence }: DamagedObject, paint: Paint): string[] {
  if (state === 'healed') return [`${paint.good('healed')}  ${object}`];
  const name = state === 'harmful' ? paint.bad(object) : paint.warning(object);
  return [`${name}  ${sentences.join(' ')}`, `    ${costSentence}`];
}

function unreferencedText({ unreferenced }: VerificationResult): string[] {
  if (unreferenced === null) return [];
  const { packs, packBytes, pendingSnapshots, attestations, foreign } = unreferenced;
  const parts = [
    ...(packs === 0 ? [] : [`${formatQuantity(packs, 'pack')} of ${formatBytes(packBytes)}`]),
    ...(pendingSnapshots === 0 ? [] : [formatQuantity(pendingSnapshots, 'unfinished backup')]),
    ...(attestations === 0 ? [] : [`statements about ${formatQuantity(attestations, 'snapshot')} that are not there`]),
    ...(foreign.length === 0 ? [] : [`objects with names of nobody's: ${foreign.slice(0, 3).join(', ')}`]),
  ];
  return parts.length === 0 ? [] : [`Needed by nothing: ${parts.join('; ')}.`];
}

function describeProblem(problem: SnapshotProblem): string {
  switch (problem.kind) {
    case 'files': {
      const rest = problem.count - problem.names.length;
      const more = rest <= 0 ? '' : ` and ${formatQuantity(rest, 'more file')}`;
      return `lost: ${problem.names.join(', ')}${more}`;
    }
    case 'tree':
    case 'wal':
    case 'unread':
      return problem.sentence;
  }
}
