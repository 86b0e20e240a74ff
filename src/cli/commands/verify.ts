import { formatBytes, formatCount, formatDuration, formatQuantity, HoldfastError } from '../../lib/index.ts';
import type { SnapshotProblem, VerificationResult } from '../../prove/index.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { type Json, type Paint, shortId } from '../output/index.ts';

/** `holdfast verify`. */
export const verify: Command = {
  path: ['verify'],
  summary: 'Read again every byte that snapshots need, prove it, and name what is damaged and whom it harms.',
  details: [
    'Damage is recorded, so that the next backup stores again what is still there; a sound snapshot is attested as verified.',
    'Without a snapshot the newest one of each cluster is verified.',
  ],
  access: (input) => (input.isSet('read-only') ? 'read' : 'write'),
  database: 'none',
  planOptions: ['cluster.name'],
  arguments: [{ name: '[snapshot]', help: 'The id, or so many of its first digits that no other begins with them.' }],
  flags: [
    { flag: '--all', help: 'Every snapshot, and all WAL.' },
    { flag: '--read-only', help: 'Only report: record and attest nothing.' },
  ],
  run: async (context, input) => {
    const snapshots = await chooseSnapshots(context, input);
    const { verifySnapshots } = await import('../../prove/index.ts');
    const result = await verifySnapshots({
      repository: context.repository,
      ...(snapshots === null ? {} : { snapshots }),
      record: !input.isSet('read-only'),
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      progress: context.progress,
      signal: context.signal,
    }).catch((error: unknown) => {
      throw withReadOnlyHint(error);
    });
    return {
      reason: result.isSound ? 'done' : 'problemFound',
      json: verificationDocument(result),
      text: (paint) => verificationText(result, paint),
    };
  },
};

/** Verdicts are recorded at the end: on a repository that takes no more writes all the reading would have been for nothing a second time. */
function withReadOnlyHint(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || !['STORE_DENIED', 'STORE_FULL'].includes(error.code)) return error;
  const { code, message, detail, hints, cause } = error;
  return new HoldfastError(code, message, {
    ...(detail === undefined ? {} : { detail }),
    hints: [...hints, 'Run holdfast verify --read-only: it reports the same and writes nothing.'],
    cause,
  });
}

/** `null` for all of them. */
async function chooseSnapshots({ repository, plan }: CommandContext, input: CommandInput) {
  const named = input.optional('snapshot');
  if (input.isSet('all')) {
    if (named === undefined) return null;
    throw new HoldfastError('USAGE_INVALID', 'cannot verify one snapshot and all of them at once', {
      hints: ['Leave out the snapshot or --all.'],
    });
  }
  if (named !== undefined) return [await repository.findSnapshot(named)];
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

function verificationDocument(result: VerificationResult): { readonly [key: string]: Json } {
  return {
    sound: result.isSound,
    snapshots: result.snapshots.map(({ snapshot, problems }) => ({
      snapshot: snapshot.id,
      cluster: snapshot.cluster,
      sound: problems.length === 0,
      problems: problems.map((problem): Json => ({ ...problem })),
    })),
    packs: result.packsChecked,
    chunks: result.chunksChecked,
    walObjects: result.walObjectsChecked,
    bytesRead: result.bytesRead,
    seconds: result.seconds,
    damagedPacks: result.damagedPacks.map(({ pack, sentences, isLost, badOffsets }) => ({
      ...{ object: pack, sentences, lost: isLost },
      badChunks: badOffsets.size,
    })),
    damagedWal: result.damagedWal.map((finding) => ({ ...finding })),
    unreadable: result.unreadable.map((finding) => ({ ...finding })),
  };
}

function verificationText(result: VerificationResult, paint: Paint): string[] {
  const { packsChecked, chunksChecked, bytesRead, seconds, damagedPacks, damagedWal, unreadable } = result;
  const damage = [
    ...damagedPacks.map(({ pack, sentences }) => ({ object: pack, sentence: sentences.join(' ') })),
    ...damagedWal,
    ...unreadable,
  ];
  return [
    ...result.snapshots.flatMap(({ snapshot, problems }) => [
      `${problems.length === 0 ? paint.good('✓ sound') : paint.bad('✗ damaged')}  ${paint.strong(shortId(snapshot.id))} of ${snapshot.cluster}`,
      ...problems.map((problem) => `    ${describeProblem(problem)}`),
    ]),
    ...(damage.length === 0 ? [] : ['', paint.strong('Damaged objects')]),
    ...damage.map(({ object, sentence }) => `${paint.bad(object)}  ${sentence}`),
    '',
    `Read ${formatBytes(bytesRead)} in ${formatDuration(seconds * 1000)}: ${formatCount(chunksChecked)} chunks in ${formatQuantity(packsChecked, 'pack')}.`,
    ...(result.isSound || damage.length === 0
      ? []
      : [`${paint.accent('→')} Run holdfast backup: it stores again what the server still has.`]),
  ];
}

function describeProblem(problem: SnapshotProblem): string {
  switch (problem.kind) {
    case 'files': {
      const rest = problem.count - problem.names.length;
      const more = rest === 0 ? '' : ` and ${formatQuantity(rest, 'more file')}`;
      return `lost: ${problem.names.join(', ')}${more}`;
    }
    case 'tree':
      return `its list of files: ${problem.sentence}`;
    case 'wal':
      return problem.sentence;
  }
}
