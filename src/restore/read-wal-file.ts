import { assert, HoldfastError } from '../lib/index.ts';
import { formatLsn } from '../postgres/index.ts';
import { historyObjectName, readSegment } from '../protect/wal/index.ts';
import type { Repository } from '../repository/index.ts';
import type { RestoreProposal } from './proposal.ts';
import type { ReadWalFile } from './spool/index.ts';
import { historyOf, inventoryOf, type RouteFile } from './wal-route.ts';

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
  return async (name) => {
    const file = files.get(name);
    assert(file !== undefined, 'only files of the plan are read');
    if (file.kind === 'segment') return readPlannedSegment(repository, proposal, file);
    if (file.lineage === null) return Buffer.from(TAKEN_HISTORY);
    const place = { system: proposal.route.lineage.system, lineage: file.lineage };
    return repository.getBody('timeline-history', historyObjectName(place, file.timeline));
  };
}

async function readPlannedSegment(
  repository: Repository,
  { route, wal }: RestoreProposal,
  file: RouteFile & { kind: 'segment' },
): Promise<Buffer> {
  const { segmentNumber } = file;
  const content = await readSegment(repository, inventoryOf(route), { ...historyOf(route), segmentNumber });
  assert(content.name === file.name, 'the plan names a segment as it is read');
  const end = (segmentNumber + 1n) * BigInt(route.lineage.header.segmentBytes);
  const neededEnd = wal.to < end ? wal.to : end;
  if (content.validUntil >= neededEnd) return content.bytes;
  throw new HoldfastError('RESTORE_WAL_SHORT', `cannot read WAL segment "${file.name}" as far as it is needed`, {
    detail: `Expected WAL up to ${formatLsn(neededEnd)}, found it up to ${formatLsn(content.validUntil)}.`,
    hints: ['Run `holdfast wal status` to see from where to where WAL is stored.'],
  });
}
