import { join, resolve } from 'node:path';
import { openLedger } from '../../../ledger/index.ts';
import { type Clock, codeOf, HoldfastError, type Progress } from '../../../lib/index.ts';
import {
  type ControlFile,
  formatLsn,
  readControlFile,
  segmentStartOf,
  type TimelineSwitch,
  type Timestamp,
  whyServerMayRun,
} from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { describeContinuity } from '../continuity.ts';
import type { WalAlarm } from '../events.ts';
import { WalIngest } from '../files/index.ts';
import { findLineage, type LineageInventory, readWalInventory, type WalInventory } from '../inventory.ts';
import { type LsnRange, mergeRanges, missingRanges } from '../lsn-ranges.ts';
import type { LineagePlace } from '../object-names.ts';
import { findCluster, findOwner, findPreviousBeside, type WalOwner } from '../push/index.ts';
import { scanWal } from '../scan.ts';
import { isWalDamage } from '../stored-wal.ts';
import { newestTimeline, pathInLineage, storedOnPath, type TimelineStretch, timelinePath } from '../timeline-path.ts';
import { type FoundSegment, type PassedOver, surveyWalDirectory, type WalSurvey } from './survey.ts';

export interface WalRescueOptions {
  readonly repository: Repository;
  /** The data directory of the dead server; `null` when only a directory of WAL is given. It is only read. */
  readonly dataDirectory: string | null;
  /** Where the WAL lies; `pg_wal` in the data directory when `null`. */
  readonly walDirectory: string | null;
  /** The cluster that was named; `null` for the only one of the system, or else `clusterDefault`. */
  readonly cluster: string | null;
  readonly clusterDefault: string;
  /** For the ledger. */
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly onAlarm: (alarm: WalAlarm) => void;
  readonly signal: AbortSignal;
}

/** What a rescue brought. */
export interface WalRescueReport {
  readonly cluster: string;
  readonly place: LineagePlace;
  readonly timeline: number;
  /** Where the WAL of this history ended before, and where it ends now; `null` when there was none. */
  readonly endBefore: bigint | null;
  readonly end: bigint;
  readonly gained: readonly LsnRange[];
  /** Transactions whose commit lies in what was gained, and the last of them. */
  readonly commits: number;
  readonly lastCommit: { readonly xid: number; readonly at: Timestamp; readonly lsn: bigint } | null;
  /** Whole segments: those that were new, and those that were there. */
  readonly segments: { readonly kept: number; readonly known: number };
  readonly histories: readonly number[];
  readonly passedOver: readonly PassedOver[];
  /**
   * Those among them that are by their first page what their names say, behind a place that cannot be read: WAL that is lost, or that a crash left
   * behind the end of what counted.
   */
  readonly unconnected: readonly string[];
  /** What is missing of this history still. */
  readonly gaps: readonly LsnRange[];
}

/**
 * Brings in what survives in the `pg_wal` of a server that is dead, up to its last whole record (rule A12; `docs/wal-push.md`).
 *
 * Errors: WAL_RESCUE_RUNNING; WAL_RESCUE_EMPTY; WAL_OWNER_UNKNOWN, WAL_FILE_UNREADABLE, WAL_HISTORY_ABSENT, CLUSTER_AMBIGUOUS; those of
 * `WalIngest` and of the store.
 */
export async function rescueWal(options: WalRescueOptions): Promise<WalRescueReport> {
  const { repository, progress, stateDirectory } = options;
  await refuseRunning(options.dataDirectory);
  const directory = walDirectoryOf(options);
  const control = await readControlIfSound(options.dataDirectory, progress);
  const owner = control === null ? await findOwner(directory) : ownerOf(control);
  const survey = await surveyWalDirectory(directory, owner);
  if (survey.segments.length === 0) throw nothingFound(directory, survey);
  const cluster = options.cluster ?? (await findCluster(repository, owner.system, options.clusterDefault));
  const before = await readWalInventory(repository, owner.system);

  const ingest = makeIngest(options, { directory, owner, cluster, survey });
  const timeline = timelineOf(control, survey);
  const histories = await keepHistories(ingest, survey, timeline, owner);
  const path = timelinePath(timeline, findSwitches(survey, before, timeline));
  const counts = { kept: 0, known: 0 };
  const passedOver = [...survey.passedOver];
  const unconnected: string[] = [];
  progress.begin('rescuing WAL', { total: survey.segments.length, unit: 'files' });
  for (const stretch of path) await keepStretch(options, { ingest, survey, stretch, owner, counts, unconnected });
  passedOver.push(...unconnected.map((file) => ({ file, reason: UNCONNECTED })));

  const inventory = await ingest.list();
  const lineage = findLineage(inventory, ingest.followed ?? '');
  const gained = gainedRanges(before, lineage);
  const found = await countCommits(repository, inventory, lineage, gained);
  const { runs, gaps } = describeContinuity(lineage);
  const ledger = await openLedger(repository, stateDirectory);
  const facts = { cluster, system: owner.system, end: formatLsn(runs.at(-1)?.end ?? 0n), commits: found.commits };
  await ledger.append({ action: 'wal-rescue', outcome: 'done', subject: lineage.lineage, facts });
  return {
    ...{ cluster, timeline: newestTimeline(lineage), gained, ...found, segments: counts, histories, passedOver },
    ...{ unconnected, gaps },
    place: { system: lineage.system, lineage: lineage.lineage },
    endBefore: rangesOf(before, lineage).at(-1)?.end ?? null,
    end: runs.at(-1)?.end ?? 0n,
  };
}

async function refuseRunning(dataDirectory: string | null): Promise<void> {
  const why = dataDirectory === null ? null : await whyServerMayRun(dataDirectory);
  if (why === null) return;
  throw new HoldfastError(
    'WAL_RESCUE_RUNNING',
    `cannot rescue WAL from "${dataDirectory}": a server may be running there`,
    {
      detail: `${why} While it runs, its last WAL may be written and not yet synced.`,
      hints: [
        'Run `holdfast wal stream` for a server that runs.',
        'If the server is dead and the process is another one, name its WAL alone: --wal-directory and the path of its pg_wal.',
      ],
    },
  );
}

function walDirectoryOf({ walDirectory, dataDirectory }: WalRescueOptions): string {
  return resolve(walDirectory ?? join(dataDirectory ?? '.', 'pg_wal'));
}

/** A damaged one tells nothing, and the files themselves say whose they are. */
async function readControlIfSound(dataDirectory: string | null, progress: Progress): Promise<ControlFile | null> {
  if (dataDirectory === null) return null;
  try {
    return await readControlFile(dataDirectory);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    progress.note(`pg_control tells nothing, the files are taken for what they say themselves: ${error.message}`);
    return null;
  }
}

function ownerOf({ systemId, walSegmentSize }: ControlFile): WalOwner {
  return { system: systemId, segmentBytes: walSegmentSize };
}

/** The timeline on which the server was: a promotion is in pg_control before its checkpoint is. Without it, the highest that there is WAL of. */
function timelineOf(control: ControlFile | null, { segments }: WalSurvey): number {
  if (control !== null) return Math.max(control.timeline, control.minRecoveryTimeline);
  return Math.max(...segments.map(({ timeline }) => timeline));
}

/** How the server came to its timeline: by its own history file, else by a stored one. */
function findSwitches(
  { histories }: WalSurvey,
  { lineages }: WalInventory,
  timeline: number,
): readonly TimelineSwitch[] {
  const stored = lineages.find((lineage) => lineage.histories.has(timeline));
  return histories.get(timeline)?.switches ?? stored?.histories.get(timeline) ?? [];
}

function makeIngest(
  { repository, stateDirectory, clock, onAlarm }: WalRescueOptions,
  { directory, owner, cluster, survey }: { directory: string; owner: WalOwner; cluster: string; survey: WalSurvey },
): WalIngest {
  return new WalIngest({
    ...{ repository, stateDirectory, clock, onAlarm, cluster, system: owner.system, preferred: null },
    findHistory: async (timeline) => survey.histories.get(timeline)?.content ?? null,
    findPrevious: (file) => findPreviousBeside(directory, file),
  });
}

/** History first: those on the way to the server's timeline. */
async function keepHistories(
  ingest: WalIngest,
  survey: WalSurvey,
  timeline: number,
  { segmentBytes }: WalOwner,
): Promise<number[]> {
  const own = survey.histories.get(timeline);
  const wanted = [...(own?.switches.map((entry) => entry.timeline) ?? []), timeline];
  const kept: number[] = [];
  for (const each of wanted) {
    const history = survey.histories.get(each);
    if (history === undefined) continue;
    await ingest.keepHistory(history, segmentBytes);
    kept.push(each);
  }
  return kept;
}

interface StretchWork {
  readonly ingest: WalIngest;
  readonly survey: WalSurvey;
  readonly stretch: TimelineStretch;
  readonly owner: WalOwner;
  readonly counts: { kept: number; known: number };
  readonly unconnected: string[];
}

const UNCONNECTED = 'It lies behind a place that cannot be read, and may be of an earlier use.';

/** Keeps the files of one timeline, from where it began up to where it was left. */
async function keepStretch({ progress, signal }: WalRescueOptions, work: StretchWork): Promise<void> {
  const { ingest, survey, stretch, owner, counts, unconnected } = work;
  const size = BigInt(owner.segmentBytes);
  const first = segmentStartOf(stretch.from, owner.segmentBytes) / size;
  const isOnWay = ({ timeline, number }: FoundSegment) =>
    timeline === stretch.timeline && number >= first && (stretch.to === null || number * size < stretch.to);
  let isBroken = false;
  for (const found of survey.segments.filter(isOnWay)) {
    signal.throwIfAborted();
    progress.advance(1);
    const file = await found.open();
    if (isBroken && !(await isReached(ingest, file.start))) {
      unconnected.push(found.name);
      continue;
    }
    const wantsWhole = stretch.to === null || file.end <= stretch.to;
    const isWhole = wantsWhole && (await keepWhole(ingest, file, counts));
    if (isWhole) continue;
    await ingest.keepPart(file, { untilSwitch: stretch.to !== null });
    isBroken = true;
  }
}

/** False when the file is not sound to its end: then it is the last one, or damaged. */
async function keepWhole(
  ingest: WalIngest,
  file: Awaited<ReturnType<FoundSegment['open']>>,
  counts: { kept: number; known: number },
): Promise<boolean> {
  try {
    const { isNew } = await ingest.keepSegment(file);
    counts[isNew ? 'kept' : 'known'] += 1;
    return true;
  } catch (error) {
    if (codeOf(error) === 'WAL_FILE_UNSOUND') return false;
    throw error;
  }
}

/** Whether the repository has the WAL right before a position, so that what lies there can be proved to go on from it. */
async function isReached(ingest: WalIngest, lsn: bigint): Promise<boolean> {
  const inventory = await ingest.list();
  const lineage = inventory.lineages.find((each) => each.lineage === ingest.followed);
  if (lineage === undefined) return false;
  const ranges = storedOnPath(lineage, pathInLineage(lineage, newestTimeline(lineage)));
  return ranges.some((range) => range.start < lsn && range.end >= lsn);
}

/** What was stored before on the way that the lineage has now. */
function rangesOf(before: WalInventory, now: LineageInventory): LsnRange[] {
  const then = before.lineages.find(({ lineage }) => lineage === now.lineage);
  if (then === undefined) return [];
  return storedOnPath({ ...now, timelines: then.timelines }, pathInLineage(now, newestTimeline(now)));
}

function gainedRanges(before: WalInventory, lineage: LineageInventory): LsnRange[] {
  const known = rangesOf(before, lineage);
  const now = storedOnPath(lineage, pathInLineage(lineage, newestTimeline(lineage)));
  return mergeRanges(now.flatMap((range) => missingRanges(known, range)));
}

/** Counts the commits whose records end in what was gained: one may have begun in what was there. */
async function countCommits(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  gained: readonly LsnRange[],
): Promise<Pick<WalRescueReport, 'commits' | 'lastCommit'>> {
  let commits = 0;
  let lastCommit: WalRescueReport['lastCommit'] = null;
  for (const range of gained) {
    const from = segmentStartOf(range.start, lineage.header.segmentBytes);
    const of = { lineage: lineage.lineage, timeline: newestTimeline(lineage), from, to: range.end };
    try {
      for await (const landmark of scanWal(repository, inventory, of)) {
        if (landmark.kind !== 'transaction' || landmark.endLsn <= range.start) continue;
        const { outcome, xid, at } = landmark.transaction;
        if (outcome !== 'commit') continue;
        commits += 1;
        lastCommit = { xid, at, lsn: landmark.lsn };
      }
    } catch (error) {
      // What was there before and is damaged keeps only the count from being whole; the WAL that was gained is stored.
      if (!isWalDamage(error) && codeOf(error) !== 'WAL_RECORD_UNREADABLE') throw error;
    }
  }
  return { commits, lastCommit };
}

function nothingFound(directory: string, { passedOver }: WalSurvey): HoldfastError {
  const [first] = passedOver;
  return new HoldfastError('WAL_RESCUE_EMPTY', `cannot find WAL in "${directory}"`, {
    detail:
      first === undefined
        ? 'Expected files with names of 24 hexadecimal digits, found none.'
        : `Of ${passedOver.length} files none is what its name says. "${first.file}": ${first.reason}`,
    hints: ['Check the path; pg_wal may be a link to another disk that is not mounted.'],
  });
}
