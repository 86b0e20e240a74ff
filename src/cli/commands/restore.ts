import { formatBytes, formatDuration, formatQuantity, formatRate, HoldfastError } from '../../lib/index.ts';
import type { CommitFacts, Loss, RecoveryTarget, RestoreProposal, RestoreResult } from '../../restore/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { fromPlaceFlag } from '../from-place.ts';
import { formatFacts, isoTime, type Json, type Outcome, type Paint, quoteForShell, shortId } from '../output/index.ts';
import { refuseWithoutWaiting } from '../waiting-wal.ts';

/** `holdfast restore`. */
export const restore: Command = {
  path: ['restore'],
  summary: 'Bring a cluster back to a moment, into a new directory.',
  details: [
    'What will be done is shown first. Nothing outside the new directory and those of its tablespaces is touched, and a directory that holds something else is refused.',
    'With --delta it goes over a data directory of the same cluster instead, whose server is stopped, and fetches only what differs. What is not data, above all pg_wal, is moved aside in it, never deleted.',
    'Each object is read from whichever place has it whole; with the primary away, from the copies, and nothing is recorded then.',
    'Without --start the directory is made ready: the first start of PostgreSQL on it recovers to the target.',
  ],
  examples: [
    { line: 'holdfast restore --into /srv/restored --dry-run', does: 'Only say what would be done.' },
    {
      line: 'holdfast restore --into /srv/restored --start',
      does: 'The latest state, started without any network and checked.',
    },
    {
      line: 'holdfast restore --into /srv/restored --to 2026-11-23T09:00:00Z',
      does: 'A moment; the directory recovers to it at its first start.',
    },
    {
      line: 'holdfast restore --into /srv/restored --to before:0/5164A60',
      does: 'Everything before a commit, such as that of a DROP TABLE.',
    },
    {
      line: 'holdfast restore --into /srv/restored --from west',
      does: 'From the copy "west" alone, as if there were no other place.',
    },
    {
      line: 'holdfast restore --into /srv/data --delta',
      does: 'Over the data directory of a server that is stopped, fetching only what differs.',
    },
  ],
  access: (input) =>
    input.isSet('dry-run') || input.isSet('read-only') || input.optional('from') !== undefined ? 'read' : 'write',
  readsFromPlace: true,
  readsWithoutPrimary: true,
  leavesCopies: true,
  database: 'none',
  planOptions: ['cluster.name', 'backup.workers'],
  flags: [
    {
      flag: '--into <directory>',
      help: 'Where to; made when it is missing, refused when it is not empty.',
      required: true,
    },
    {
      flag: '--to <target>',
      help: 'latest, a time with its zone such as 2026-11-23T09:00:00Z, an LSN such as 16/B374D848, before:LSN, xid:NUMBER, name:TEXT for a restore point, or immediate; holdfast wal commits finds the moment. (default: latest)',
    },
    {
      flag: '--timeline <which>',
      help: 'latest, current for that of the base backup, or a number. (default: latest)',
    },
    { flag: '--exclusive', help: 'Leave out what lies exactly at the target, such as the commit of a DROP TABLE.' },
    { flag: '--start', help: 'Start the server, without any network, wait for the end of its recovery and check it.' },
    { flag: '--delta', help: 'Go over the data directory that is there, and fetch only what differs.' },
    {
      flag: '--clone-from <directory>',
      help: 'Begin with clones of the files of another data directory of the cluster, on the same file system; its server may run.',
    },
    {
      flag: '--tablespace <which=directory>',
      help: 'Where a tablespace goes, by its OID, its name or its old path; may be given several times.',
      repeatable: true,
    },
    {
      flag: '--tablespaces-into <directory>',
      help: 'Below which directory tablespaces go, each under its OID. (default: <into>.tablespaces)',
    },
    {
      flag: '--manifest',
      help: 'Read everything back, compare it with the backup, and write a backup_manifest for pg_verifybackup; not with --start.',
    },
    { flag: '--dry-run', help: 'Only show what would be done.' },
    { flag: '--snapshot <id>', help: 'Begin with this snapshot. (default: the newest that serves)' },
    { flag: '--lineage <id>', help: 'Follow a lineage of WAL that was left; see holdfast wal status.' },
    { flag: '--bin-dir <directory>', help: 'Where the programs of the server are, for --start. (default: looked for)' },
    { flag: '--port <number>', help: 'Names the socket of the started server. (default: 5432)' },
    { flag: '--read-only', help: 'Write nothing into the repository, not even that this restore was made.' },
    fromPlaceFlag,
  ],
  run: async (context, input) => {
    const {
      describeProposal,
      formatRecoveryTarget,
      parseRecoveryTarget,
      parseTablespaceMapping,
      parseTimelineChoice,
      prepareRestore,
      prepareStart,
      runRestore,
    } = await import('../../restore/index.ts');
    const { formatLsn, formatTimestamp } = await import('../../postgres/index.ts');
    const target = parseRecoveryTarget(input.optional('to') ?? 'latest');
    // The end of what is stored is not the end of what there is.
    if (target.kind === 'latest') refuseWithoutWaiting(context.unreadWal, 'restore the latest state', WITHOUT_IT);
    const words: Words = { formatLsn, formatTimestamp, formatTarget: formatRecoveryTarget, describe: describeProposal };
    const { name, nameOrigin } = context.plan.cluster;
    const [snapshot, lineage] = [input.optional('snapshot'), input.optional('lineage')];
    const timeline = input.optional('timeline');
    const [cloneFrom, tablespacesInto] = [input.optional('clone-from'), input.optional('tablespaces-into')];
    if (input.isSet('delta') && cloneFrom !== undefined) throw bothManners();
    if (input.isSet('manifest') && input.isSet('start')) throw manifestOfRunning();
    const request = {
      repository: context.repository,
      into: readDirectory(input.required('into'), 'into'),
      target,
      exclusive: input.isSet('exclusive'),
      delta: input.isSet('delta'),
      tablespaces: {
        mappings: input.all('tablespace').map(parseTablespaceMapping),
        into: tablespacesInto === undefined ? undefined : readDirectory(tablespacesInto, 'tablespaces-into'),
      },
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
      ...(cloneFrom === undefined ? {} : { cloneFrom: readDirectory(cloneFrom, 'clone-from') }),
      ...(nameOrigin === null ? {} : { cluster: name }),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(lineage === undefined ? {} : { lineage }),
      ...(timeline === undefined ? {} : { timeline: parseTimelineChoice(timeline) }),
    };
    if (input.isSet('dry-run')) {
      const { proposal, place } = await prepareRestore(request, input.isSet('start'));
      // What would stop it before its first byte is better known now than at night.
      if (input.isSet('start')) await prepareStart({ proposal, place, start: startOptions(input), owner: undefined });
      return proposalOutcome(proposal, words);
    }
    const result = await runRestore({
      ...request,
      stateDirectory: context.plan.stateDirectory,
      workers: context.plan.backup.workers,
      manifest: input.isSet('manifest'),
      onProposal: (proposal) => showProposal(context, proposal, words),
      ...(input.isSet('start') ? { start: startOptions(input) } : {}),
    });
    await result.instance?.release();
    return { json: restoreDocument(result, words), text: (paint) => restoreText(result, words, paint) };
  },
};

const WITHOUT_IT = [
  'Name the target with --to to do without it; --dry-run --from primary shows how far the stored WAL goes.',
  '--from NAME restores from that place alone, with what it has.',
];

/** An empty text, as from a variable that is not set, would mean the working directory. */
function readDirectory(path: string, flag: string): string {
  if (path !== '') return path;
  throw new HoldfastError('USAGE_INVALID', `invalid directory "" for --${flag}: it is empty`, {
    hints: flag === 'into' ? ['Name a directory that does not exist yet, or an empty one.'] : ['Name a directory.'],
  });
}

function bothManners(): HoldfastError {
  return new HoldfastError('USAGE_INVALID', 'cannot use --delta and --clone-from together', {
    detail: 'A delta goes over what the directory holds; clones are for a new one.',
    hints: ['Leave one of them out.'],
  });
}

function manifestOfRunning(): HoldfastError {
  return new HoldfastError('USAGE_INVALID', 'cannot use --manifest and --start together', {
    detail: 'A manifest lists the files as they are before a server runs; one that recovers changes them at once.',
    hints: ['Leave one of them out.'],
  });
}

/** What the layers below are asked, once they are loaded. */
interface Words {
  formatLsn(lsn: bigint): string;
  formatTimestamp(at: bigint): string;
  formatTarget(target: RecoveryTarget): string;
  describe(proposal: RestoreProposal): { label: string; text: string }[];
}

function startOptions(input: CommandInput): { binDirectory?: string; port?: number } {
  const [binDirectory, port] = [input.optional('bin-dir'), input.optional('port')];
  if (port !== undefined && !(/^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65535)) {
    throw new HoldfastError('USAGE_INVALID', `invalid port "${port}"`, {
      detail: 'Expected a number from 1 to 65535.',
    });
  }
  return {
    ...(binDirectory === undefined ? {} : { binDirectory }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
}

function showProposal({ emit, say }: CommandContext, proposal: RestoreProposal, words: Words): void {
  emit('proposal', proposalDocument(proposal, words));
  say((paint) => [...proposalText(proposal, words, paint), '']);
}

function proposalOutcome(proposal: RestoreProposal, words: Words): Outcome {
  return {
    json: { dryRun: true, proposal: proposalDocument(proposal, words) },
    text: (paint) => proposalText(proposal, words, paint),
  };
}

function proposalText(proposal: RestoreProposal, words: Words, paint: Paint): string[] {
  return formatFacts(
    words.describe(proposal).map(({ label, text }) => [label, text] as const),
    paint,
  );
}

function proposalDocument(proposal: RestoreProposal, words: Words): { readonly [key: string]: Json } {
  const { into, snapshot, target, wal, size, lost, estimateSeconds, passedOver, warnings } = proposal;
  const { manner, cloneFrom, tablespaces, survey, reuse } = proposal;
  const lsn = words.formatLsn;
  return {
    into,
    cluster: snapshot.cluster,
    snapshot: snapshot.id,
    snapshotCompletedAt: isoTime(snapshot.completedAt),
    passedOver: passedOver.map(({ snapshot: other, reason }) => ({ snapshot: other.id, reason })),
    target: {
      asked: words.formatTarget(target.asked),
      exclusive: target.exclusive,
      recordLsn: lsn(target.recordLsn),
      inclusive: target.inclusive,
      timeline: target.timeline,
      reachedLsn: lsn(target.reachedLsn),
      lastCommit: commitDocument(target.lastCommit, words),
      prepared: target.prepared.map(({ xid, name, lsn: at }) => ({ xid, name, lsn: lsn(at) })),
      notes: target.notes,
    },
    wal: { from: lsn(wal.from), to: lsn(wal.to), files: wal.files.length, bytes: wal.bytes },
    lost: {
      bytes: Number(lost.bytes),
      durableLsn: lsn(lost.durableEnd),
      firstCommit: commitDocument(lost.firstCommit, words),
      lastCommit: commitDocument(lost.lastCommit, words),
    },
    manner,
    cloneFrom,
    tablespaces: tablespaces.map(({ oid, name, from, path }) => ({ oid, name, from, path })),
    walTablespaces: survey.tablespaces.map((space) => ({ oid: space.oid, path: space.path, lsn: lsn(space.lsn) })),
    reuse: reuse === null ? null : { ...reuse },
    size: {
      dataBytes: size.dataBytes,
      neededBytes: size.neededBytes,
      freeBytes: size.freeBytes,
      fileSystems: size.fileSystems.map(({ paths, neededBytes, freeBytes }) => ({
        paths: [...paths],
        neededBytes,
        freeBytes,
      })),
    },
    estimateSeconds,
    warnings,
    leftOut: proposal.leftOut,
  };
}

function commitDocument(commit: CommitFacts | null, { formatLsn, formatTimestamp }: Words): Json {
  return commit === null ? null : { xid: commit.xid, at: formatTimestamp(commit.at), lsn: formatLsn(commit.lsn) };
}

function restoreDocument(result: RestoreResult, words: Words): { readonly [key: string]: Json } {
  const { proposal, reached, lost, files, bytes, reuse, seconds, manifest, instance, checks, notes } = result;
  return {
    proposal: proposalDocument(proposal, words),
    reached: reached === null ? null : { lsn: words.formatLsn(reached.lsn), newTimeline: reached.newTimeline },
    lost: {
      commits: lost.commits,
      counted: lost.isCounted,
      first: commitDocument(lost.first, words),
      last: commitDocument(lost.last, words),
      bytes: Number(lost.bytes),
    },
    ...{ files, bytes, seconds },
    reuse: reuse === null ? null : { ...reuse },
    manifest,
    instance:
      instance === null
        ? null
        : {
            pid: instance.instance.pid,
            socketDirectory: instance.instance.target.host,
            port: instance.instance.target.port,
            binDirectory: instance.binDirectory,
            log: instance.instance.logPath,
            ownNetwork: instance.instance.hasOwnNetwork,
          },
    checks:
      checks === null
        ? null
        : {
            databases: checks.databases,
            invalidIndexes: checks.invalidIndexes.map((found) => ({ ...found })),
            preparedTransactions: checks.preparedTransactions.map((found) => ({ ...found })),
            collationMismatches: checks.collationMismatches.map((found) => ({ ...found })),
            subscriptions: checks.subscriptions.map((found) => ({ ...found })),
          },
    notes,
  };
}

function restoreText(result: RestoreResult, words: Words, paint: Paint): string[] {
  const { proposal, reached, lost, bytes, reuse, seconds, instance, notes } = result;
  const { into, snapshot, target } = proposal;
  const facts: [string, string][] = [
    ['from', `snapshot ${shortId(snapshot.id)}, ${formatBytes(bytes)}`],
    ['took', `${formatDuration(seconds * 1000)} (${formatRate(bytes / Math.max(seconds, 0.001))})`],
    ...(reuse === null ? [] : [['reused', describeReuse(reuse)] as [string, string]]),
    [reached === null ? 'will reach' : 'reached', describeReached(proposal, reached, words)],
    [
      'lost',
      `${describeLoss(lost, words)}${proposal.leftOut.length === 0 ? '' : '; besides, not all that is stored was brought back (see below)'}`,
    ],
  ];
  if (instance !== null) {
    const { host, port, user } = instance.instance.target;
    facts.push(['connect', `psql -h ${quoteForShell(host)} -p ${port} -U ${quoteForShell(user)} -d postgres`]);
    // Unlike pg_ctl it works for root too, and for a directory of any name.
    facts.push(['stop', `kill -INT ${instance.instance.pid}`]);
    facts.push(['log', instance.instance.logPath]);
    facts.push([
      'next',
      'look at the data, stop this server, then start PostgreSQL on the directory in the ordinary way',
    ]);
  } else {
    facts.push(['start', `PostgreSQL on "${into}" recovers to ${words.formatLsn(target.reachedLsn)} and opens`]);
  }
  facts.push([
    'keep',
    'once it has opened and takes the place of the old server, remove the lines that Holdfast wrote at the end of its postgresql.auto.conf: until then it neither archives nor waits for standbys',
  ]);
  return [
    `${paint.good('restored')} cluster ${paint.strong(snapshot.cluster)} into "${into}"`,
    ...formatFacts(facts, paint),
    ...checksText(result, paint),
    ...notes.map((note) => `${paint.warning('!')} ${note}`),
  ];
}

function describeReuse({
  reusedBytes,
  writtenBytes,
  fetchedBytes,
  removed,
}: NonNullable<RestoreResult['reuse']>): string {
  const fetched = fetchedBytes === null ? '' : `, for which ${formatBytes(fetchedBytes)} were fetched`;
  const gone = removed === 0 ? '' : `; removed ${removed} that did not belong`;
  return `${formatBytes(reusedBytes)}; wrote ${formatBytes(writtenBytes)}${fetched}${gone}`;
}

function describeReached(proposal: RestoreProposal, reached: RestoreResult['reached'], words: Words): string {
  const { reachedLsn, timeline, lastCommit } = proposal.target;
  const where = `${words.formatLsn(reachedLsn)} on timeline ${timeline}`;
  const commit = lastCommit === null ? '' : `, last commit ${words.formatTimestamp(lastCommit.at)}`;
  return `${where}${commit}${reached === null ? '' : `; the server goes on as timeline ${reached.newTimeline}`}`;
}

function describeLoss({ commits, isCounted, first, last, bytes }: Loss, { formatTimestamp }: Words): string {
  if (bytes === 0n) return 'nothing that was stored';
  if (commits === 0 || first === null || last === null)
    return `no commit; ${formatBytes(bytes)} of WAL behind the target`;
  const count = `${isCounted ? '' : 'more than '}${formatQuantity(commits, 'commit')}`;
  return `${count} behind the target, from ${formatTimestamp(first.at)} to ${formatTimestamp(last.at)}`;
}

function checksText({ checks }: RestoreResult, paint: Paint): string[] {
  if (checks === null) return [];
  const listed = [
    ['invalid index', checks.invalidIndexes],
    ['prepared transaction', checks.preparedTransactions],
    ['collation of another version', checks.collationMismatches],
    ['enabled subscription', checks.subscriptions],
  ] as const;
  const found = listed.flatMap(([what, all]) =>
    all.map(({ database, name }) => `${what} ${name} in database ${database}`),
  );
  return [
    `${paint.good('✓')} connected to ${checks.databases.length === 1 ? 'one database' : `${checks.databases.length} databases`}: ${checks.databases.join(', ')}`,
    ...found.map((text) => `${paint.warning('!')} ${text}`),
  ];
}
