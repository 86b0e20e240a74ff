import type { Repository } from '../../../repository/index.ts';
import type { KeptFile, WalIngest } from '../files/index.ts';
import { writePushStatus } from '../push-status.ts';
import type { ArchivedFile } from './archived-file.ts';

/** A file that has to be stored; a backup history file has not. */
export type StorableFile = Exclude<ArchivedFile, { kind: 'backup-history' }>;

/** Hands a file to the ingest as its kind asks. Errors: those of the ingest. */
export function keepFile(ingest: WalIngest, file: StorableFile, segmentBytes: number): Promise<KeptFile> {
  switch (file.kind) {
    case 'segment':
      return ingest.keepSegment(file.segment);
    case 'part':
      return ingest.keepPart(file.segment, { untilSwitch: true });
    case 'history':
      return ingest.keepHistory(file.history, segmentBytes);
  }
}

/** Says under `volatile/` what came last, for `status`; nobody's protection depends on it. */
export async function tellPushed(
  repository: Repository,
  cluster: string,
  file: StorableFile,
  { place, range }: KeptFile,
): Promise<void> {
  const timeline = file.kind === 'history' ? file.history.timeline : file.segment.timeline;
  try {
    await writePushStatus(repository, { ...place, cluster, file: file.name, timeline, endLsn: range?.end ?? null });
  } catch {
    // The file is durable, and that is all that PostgreSQL asks; a store that fails now is told by the next file.
  }
}
