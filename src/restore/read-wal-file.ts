import { assert, HoldfastError } from '../lib/index.ts';
import { formatLsn } from '../postgres/index.ts';
import { pathInLineage, readHistoryFile, StoredWal } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import type { RestoreProposal } from './proposal.ts';
import type { ReadWalFile } from './spool/index.ts';
import type { RouteFile } from './wal-route.ts';

/** What stands in the history file of a timeline that is known to exist and whose history is not: only its name is looked at. */
const TAKEN_HISTORY = '# Holdfast: this timeline exists, and its history is not stored.\n';

/**
 * Gives the files of a proposal's WAL plan by name.
 *
 * The newest segment comes padded with zeros (rule A6). One that holds less than the plan needs is an error, as the plan says that it was
 * there: recovery must not take it for the end.
 */
export function walFileReader(repository: Repository, proposal: RestoreProposal): ReadWalFile {
  const files = new Map(proposal.wal.files.map((file) => [file.name, file]));
  return (name) => {
    const file = files.get(name);
    assert(file !== undefined, 'only files of the plan are read');
    if (file.kind === 'history') return { pieces: readHistory(repository, proposal, file) };
    const paddedBytes = proposal.route.lineage.header.segmentBytes;
    return { pieces: readPlannedSegment(repository, proposal, file), paddedBytes };
  };
}

async function* readHistory(
  repository: Repository,
  { route }: RestoreProposal,
  { lineage, timeline }: RouteFile & { kind: 'history' },
): AsyncGenerator<Buffer, void> {
  if (lineage === null) yield Buffer.from(TAKEN_HISTORY);
  else {
    const place = { system: route.lineage.system, lineage };
    yield await readHistoryFile(repository, place, timeline);
  }
}

/** In pieces, as segments may be large and several are read at a time. */
async function* readPlannedSegment(
  repository: Repository,
  { route, wal }: RestoreProposal,
  { name, segmentNumber }: RouteFile & { kind: 'segment' },
): AsyncGenerator<Buffer, void> {
  const stored = new StoredWal(repository, route.lineage, pathInLineage(route.lineage, route.timeline));
  assert(stored.segmentName(segmentNumber) === name, 'the plan names a segment as it is read');
  const size = BigInt(route.lineage.header.segmentBytes);
  const end = (segmentNumber + 1n) * size;
  let at = segmentNumber * size;
  for await (const piece of stored.read(at, end)) {
    at += BigInt(piece.length);
    yield piece;
  }
  const neededEnd = wal.to < end ? wal.to : end;
  if (at >= neededEnd) return;
  throw new HoldfastError('RESTORE_WAL_SHORT', `cannot read WAL segment "${name}" as far as it is needed`, {
    detail: `Expected WAL up to ${formatLsn(neededEnd)}, found it up to ${formatLsn(at)}.`,
    hints: ['Run `holdfast wal status` to see from where to where WAL is stored.'],
  });
}
