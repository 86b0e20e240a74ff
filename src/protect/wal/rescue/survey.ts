import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError, messageOf } from '../../../lib/index.ts';
import { parseSegmentName } from '../../../postgres/index.ts';
import { describeHistory, type HistoryFile, openSegmentFile, type SegmentFile, unreadable } from '../files/index.ts';

/** A segment that lies in the directory; its bytes are read when they are needed. */
export interface FoundSegment {
  readonly name: string;
  readonly timeline: number;
  readonly number: bigint;
  open(): Promise<SegmentFile>;
}

/** A file that is not taken, and why. */
export interface PassedOver {
  readonly file: string;
  readonly reason: string;
}

/** What lies in a directory of WAL. */
export interface WalSurvey {
  /** By timeline and number. */
  readonly segments: readonly FoundSegment[];
  readonly histories: ReadonlyMap<number, HistoryFile>;
  /** Files that were renamed for later use, and others that are not what their names say. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Looks at every file by its name and its first page. A `.partial` counts as the segment of its name when that is not there itself.
 * Errors: WAL_FILE_UNREADABLE when the directory cannot be read.
 */
export async function surveyWalDirectory(
  directory: string,
  owner: { readonly system: string; readonly segmentBytes: number },
): Promise<WalSurvey> {
  const names = await listFiles(directory);
  const segments: FoundSegment[] = [];
  const histories = new Map<number, HistoryFile>();
  const passedOver: PassedOver[] = [];
  for (const file of names) {
    const segmentName = /^([0-9A-F]{24})(?:\.partial)?$/.exec(file)?.[1];
    const timeline = Number.parseInt(/^([0-9A-F]{8})\.history$/.exec(file)?.[1] ?? '0', 16);
    if (file.endsWith('.partial') && segmentName !== undefined && names.includes(segmentName)) continue;
    const path = join(directory, file);
    try {
      if (timeline > 0) histories.set(timeline, describeHistory(timeline, await readFile(path, 'utf8')));
      if (segmentName === undefined) continue;
      const { system } = await openSegmentFile(path, segmentName);
      if (system === owner.system) segments.push(foundSegment(path, segmentName, owner.segmentBytes));
      else passedOver.push({ file, reason: `It is WAL of system ${system}, not of ${owner.system}.` });
    } catch (error) {
      passedOver.push({
        file,
        reason: error instanceof HoldfastError ? (error.detail ?? error.message) : messageOf(error),
      });
    }
  }
  return { segments, histories, passedOver };
}

function foundSegment(path: string, name: string, segmentBytes: number): FoundSegment {
  const { timeline, number } = parseSegmentName(name, segmentBytes);
  return { name, timeline, number, open: () => openSegmentFile(path, name) };
}

async function listFiles(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    throw unreadable(directory, `The system said: ${messageOf(error)}.`, error);
  }
}
