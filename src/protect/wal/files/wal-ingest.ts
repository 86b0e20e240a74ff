import { randomBytes } from 'node:crypto';
import { assert, type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import { segmentStartOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalAlarm } from '../events.ts';
import { type LineageInventory, readWalInventory, type WalInventory } from '../inventory.ts';
import type { LineageParent } from '../lineage.ts';
import { rankLineages } from '../lineage-candidates.ts';
import { type LsnRange, mergeRanges, minLsn, missingRanges } from '../lsn-ranges.ts';
import { noteFork } from '../note-fork.ts';
import { fragmentObjectName, historyObjectName, type LineagePlace, segmentObjectName } from '../object-names.ts';
import {
  createLineage,
  type DivergedPlan,
  deleteFragments,
  findOtherSystem,
  forkAlarm,
  joinSegment,
  type LineageBeginning,
  openLineage,
  SegmentChecker,
} from '../receiver/index.ts';
import { putTwice, readHistoryFile } from '../second-copy.ts';
import { StoredWal } from '../stored-wal.ts';
import type { TimelineStretch } from '../timeline-path.ts';
import {
  alteredFile,
  historyInOutage,
  historyWanted,
  holeAlarm,
  unprovedInOutage,
  unsoundFile,
} from './file-errors.ts';
import { describeHistory, type HistoryFile, matchHistory } from './match-history.ts';
import { type FittingSegment, matchPrevious, matchSegment } from './match-segment.ts';
import { cutBytes, cutFragments, objectsOf, withSegment } from './pieces.ts';
import type { SegmentFile } from './segment-file.ts';
import { findRecordsEnd, findValidEnd } from './valid-end.ts';

/** Other writers change what is stored while a file is compared; each time all is looked at again. */
const ATTEMPTS_MAX = 8;

/** What files go into a repository with. */
export interface WalIngestOptions {
  readonly repository: Repository;
  /** The name under which the plan knows the PostgreSQL cluster. */
  readonly cluster: string;
  /** The system identifier of all files, decimal. */
  readonly system: string;
  readonly clock: Clock;
  /** For the ledger. */
  readonly stateDirectory: string;
  /** The lineage that files from here went into before. */
  readonly preferred: string | null;
  /** The only lineage that takes files, and only by proof, as what is listed need not be all that is stored; `null` for any. */
  readonly only?: string | null;
  /** The server's own history file of a timeline; `null` when it is not at hand. */
  findHistory(timeline: number): Promise<string | null>;
  /** The file before, of the same timeline or of the one before it; `null` when it is not at hand any more. */
  findPrevious(file: SegmentFile): Promise<SegmentFile | null>;
  onAlarm(alarm: WalAlarm): void;
}

/** A file that is durable in the repository. */
export interface KeptFile {
  readonly place: LineagePlace;
  /** The objects that hold it; none for a part of which nothing belongs to the history that is kept. */
  readonly objects: readonly string[];
  /** False when all of it was there before. */
  readonly isNew: boolean;
  /** What of the WAL is stored, `null` for a history file. */
  readonly range: LsnRange | null;
}

/**
 * Takes WAL files into the lineage to which each belongs, one after the other (rule A4; `docs/wal-push.md`). It is one class, although long: each
 * step may find that what is stored changed meanwhile, and drops the one view of it that all of them share.
 */
export class WalIngest {
  readonly #options: WalIngestOptions;
  readonly #receiver = randomBytes(8).toString('hex');
  #preferred: string | null;
  #inventory: WalInventory | null = null;
  /** Objects of which it was told. */
  readonly #damaged = new Set<string>();
  /** The checker that has read the last file that was stored, so that the next one is read on. */
  #chain: {
    readonly lineage: string;
    readonly timeline: number;
    readonly next: bigint;
    readonly checker: SegmentChecker;
  } | null = null;

  constructor(options: WalIngestOptions) {
    this.#options = options;
    this.#preferred = options.preferred;
  }

  /** The lineage that the last file went into. */
  get followed(): string | null {
    return this.#preferred;
  }

  /**
   * Keeps a whole segment.
   *
   * Errors: WAL_FILE_UNSOUND when it is no sound WAL; WAL_HISTORY_ABSENT when the history of its timeline is neither stored nor at hand;
   * WAL_SEGMENT_SIZE_CHANGED; WAL_FILE_UNREADABLE; those of the store.
   */
  keepSegment(file: SegmentFile): Promise<KeptFile> {
    return this.#place(file, (lineage, needsProof) => this.#trySegment(lineage, file, needsProof));
  }

  /**
   * Keeps what is valid of a segment that is not whole, as fragments. With `untilSwitch`, WAL behind the position at which the lineage left the
   * timeline is passed over, as a server that was promoted has no use for it; without, it is another history's.
   * Errors: as `keepSegment`, without WAL_FILE_UNSOUND.
   */
  keepPart(file: SegmentFile, options: { untilSwitch: boolean }): Promise<KeptFile> {
    return this.#place(file, (lineage, needsProof) => this.#tryPart(lineage, file, options.untilSwitch, needsProof));
  }

  /** Keeps a history file. `segmentBytes` is for a lineage that begins with it. Errors: WAL_HISTORY_ABSENT; those of the store. */
  async keepHistory(file: HistoryFile, segmentBytes: number): Promise<KeptFile> {
    const lastSwitch = file.switches.at(-1)?.switchLsn ?? 0n;
    const beginning = this.#beginning(segmentBytes, file.timeline, lastSwitch);
    return this.#findPlace(beginning, async (lineage) => {
      const inventory = await this.#list();
      const match = await matchHistory(this.#options.repository, inventory, lineage, file);
      if (match.kind === 'conflict') return { diverged: match.diverged };
      const objectName = historyObjectName(lineage, file.timeline);
      if (!match.isStored) {
        if (this.#options.only != null) throw historyInOutage(file.timeline);
        const content = Buffer.from(file.content, 'utf8');
        const outcome = await putTwice(this.#options.repository, 'timeline-history', objectName, content);
        this.#inventory = null;
        if (outcome === 'exists') return 'changed';
      }
      return { place: placeOf(lineage), objects: [objectName], isNew: !match.isStored, range: null };
    });
  }

  /** The current view of what is stored. */
  async list(): Promise<WalInventory> {
    this.#inventory = null;
    return this.#list();
  }

  // Which lineage.

  async #place(file: SegmentFile, attempt: TryLineage): Promise<KeptFile> {
    assert(file.system === this.#options.system, 'files of one system are taken together');
    await this.#ensureHistory(file);
    const beginning = this.#beginning(file.segmentBytes, file.timeline, file.start);
    const attemptWithHistory: TryLineage = async (lineage, needsProof) =>
      (await this.#beginsWithHistory(lineage, file)) ? 'changed' : attempt(lineage, needsProof);
    return this.#findPlace(beginning, attemptWithHistory, file);
  }

  /**
   * Holds a file against one lineage after the other; begins one when there is none, or when it contradicts them all.
   *
   * A lineage that proves nothing, as it holds nothing near the file, is taken only after all others, and then only when the file contradicted none of
   * them, or the lineage is known to be its own, or has no WAL: else files of two servers could mix.
   */
  async #findPlace(
    beginning: LineageBeginning,
    attempt: TryLineage,
    file: SegmentFile | null = null,
  ): Promise<KeptFile> {
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const { only = null } = this.#options;
      const all = rankLineages(await this.#list(), this.#options, this.#preferred);
      const candidates = all.filter(({ lineage }) => only === null || lineage === only);
      const conflicts: Conflict[] = [];
      const ofSize = candidates.filter(({ header }) => header.segmentBytes === beginning.segmentBytes);
      let outcome = await this.#tryEach(ofSize, conflicts, (lineage) => attempt(lineage, true));
      if (outcome === 'none' && only !== null) throw unprovedInOutage(only, conflicts.length > 0);
      if (outcome === 'none') {
        const isTaken = (lineage: LineageInventory) =>
          conflicts.length === 0 || lineage.lineage === this.#preferred || lineage.timelines.size === 0;
        const left = new Set(conflicts.map(({ lineage }) => lineage));
        const unproved = ofSize.filter((lineage) => isTaken(lineage) && !left.has(lineage));
        outcome = await this.#tryEach(unproved, conflicts, (lineage) => attempt(lineage, false));
      }
      if (outcome === 'changed') this.#inventory = null;
      else if (outcome !== 'none') return outcome;
      else if (candidates.length === 0) await this.#beginFirst(beginning);
      else await this.#beginChild(beginning, candidates, conflicts, file);
    }
    throw new HoldfastError('WAL_PLACE_UNSTABLE', 'could not find the place of a WAL file', {
      detail: 'What is stored changed each time that the file was compared with it.',
      hints: ['Run it again; check that no more than one server writes under this cluster name.'],
      retryable: true,
    });
  }

  /** The first of the lineages that takes the file; those that it contradicts are added to `conflicts`. */
  async #tryEach(
    lineages: readonly LineageInventory[],
    conflicts: Conflict[],
    attempt: (lineage: LineageInventory) => Promise<Attempt>,
  ): Promise<KeptFile | 'changed' | 'none'> {
    for (const lineage of lineages) {
      const outcome = await this.#unlessVanished(() => attempt(lineage));
      if (outcome === 'changed') return 'changed';
      if (outcome === 'elsewhere' || outcome === 'unproved') continue;
      if ('diverged' in outcome) conflicts.push({ lineage, diverged: outcome.diverged });
      else {
        this.#preferred = outcome.place.lineage;
        return outcome;
      }
    }
    return 'none';
  }

  /** What another writer joined or deleted meanwhile is looked for again. */
  async #unlessVanished(attempt: () => Promise<Attempt>): Promise<Attempt> {
    try {
      return await attempt();
    } catch (error) {
      const isChange = ['OBJECT_ABSENT', 'WAL_SEGMENT_DIFFERS'].includes(codeOf(error) ?? '');
      if (isChange) return 'changed';
      throw error;
    }
  }

  async #beginFirst(beginning: LineageBeginning): Promise<void> {
    const { repository, clock, cluster, system } = this.#options;
    const opened = await openLineage(repository, beginning, clock);
    this.#inventory = opened.inventory;
    if (!opened.created) return;
    const error = await findOtherSystem(repository, cluster, system);
    if (error !== null) this.#options.onAlarm({ alarm: 'other-system', error });
  }

  async #beginChild(
    beginning: LineageBeginning,
    candidates: readonly LineageInventory[],
    conflicts: readonly Conflict[],
    file: SegmentFile | null,
  ): Promise<void> {
    const { repository, clock, cluster, onAlarm } = this.#options;
    // The one with which it shares the most.
    const [closest] = conflicts.toSorted((a, b) =>
      (a.diverged.forkLsn ?? -1n) > (b.diverged.forkLsn ?? -1n) ? -1 : 1,
    );
    const left = closest?.lineage ?? candidates.find(({ header }) => header.segmentBytes === beginning.segmentBytes);
    if (left === undefined) {
      // Says that the size was changed.
      await openLineage(repository, beginning, clock);
      throw new HoldfastError('WAL_SEGMENT_SIZE_CHANGED', `cannot go on with the WAL of cluster "${cluster}"`);
    }
    const { reason, forkTimeline, forkLsn } = closest?.diverged ?? {
      ...{ reason: 'timeline-forked-earlier' as const, forkTimeline: beginning.startTimeline, forkLsn: null },
    };
    const parent: LineageParent = { lineage: left.lineage, forkTimeline, forkLsn: forkLsn ?? 0n, reason };
    const startLsn = forkLsn === null ? beginning.startLsn : segmentStartOf(forkLsn, beginning.segmentBytes);
    const child = await createLineage(repository, { ...beginning, startLsn }, parent, clock);
    const error = forkAlarm(cluster, parent);
    onAlarm({ alarm: 'fork', parent: placeOf(left), child: { system: left.system, lineage: child.lineage }, error });
    await noteFork(repository, this.#options.stateDirectory, { cluster, child: child.lineage, parent });
    this.#preferred = child.lineage;
    this.#inventory = null;
    this.#chain = null;
    // When the histories parted in the file before, that one belongs to the new lineage, too.
    if (file === null || startLsn >= file.start) return;
    const previous = await this.#options.findPrevious(file);
    if (previous !== null) await this.keepSegment(previous);
  }

  #beginning(segmentBytes: number, startTimeline: number, startLsn: bigint): LineageBeginning {
    const { system, cluster } = this.#options;
    return { system, cluster, segmentBytes, startTimeline, startLsn };
  }

  // One file in one lineage.

  async #trySegment(lineage: LineageInventory, file: SegmentFile, needsProof: boolean): Promise<Attempt> {
    const match = await this.#match(lineage, file, { end: file.end, isPart: false });
    if (match.kind === 'conflict') {
      // A file that was damaged since it was stored differs as well; it is no other history.
      const alone = await new SegmentChecker(file.segmentBytes, file.system).check(file.number, file.read());
      if (alone !== null) throw unsoundFile(file.name, alone);
      const { reason, forkLsn } = match.diverged;
      const isTail = reason === 'bytes-differ' && forkLsn !== null && forkLsn >= (await findRecordsEnd(file));
      if (isTail) throw alteredFile(file.name, forkLsn);
      return { diverged: match.diverged };
    }
    if (match.kind === 'elsewhere') return 'elsewhere';
    if (needsProof && match.proof === 'nothing') return 'unproved';
    const bounds = { start: file.start, end: file.end };
    const kept = { place: placeOf(lineage), objects: [segmentObjectName(lineage, file.name)], range: bounds };
    if (match.isStoredWhole) {
      await this.#deleteFragmentsIn(lineage, file);
      return { ...kept, isNew: false };
    }
    const outcome = await this.#join(lineage, match, file);
    if (outcome === 'damaged-there') return { ...kept, ...(await this.#keepBeside(lineage, file)) };
    if (outcome !== 'joined') return { diverged: outcome };
    this.#tellGap(match);
    await this.#deleteFragmentsIn(lineage, file);
    this.#inventory = withSegment(await this.#list(), lineage, file);
    return { ...kept, isNew: true };
  }

  async #deleteFragmentsIn(lineage: LineageInventory, file: SegmentFile): Promise<void> {
    const ofTimeline = lineage.timelines.get(file.timeline)?.fragments ?? [];
    const inside = ofTimeline.filter(({ start, end }) => start >= file.start && end <= file.end);
    await deleteFragments(this.#options.repository, inside);
  }

  /** What stands under the segment's name is damaged and cannot be replaced: the bytes are kept in fragments, which readers then use. */
  async #keepBeside(lineage: LineageInventory, file: SegmentFile): Promise<Pick<KeptFile, 'objects' | 'isNew'>> {
    const inside = (lineage.timelines.get(file.timeline)?.fragments ?? []).filter(
      ({ start, end }) => start >= file.start && end <= file.end,
    );
    const missing = missingRanges(mergeRanges(inside), { start: file.start, end: file.end }).flatMap(cutFragments);
    const stored: string[] = [];
    for (const range of missing) stored.push(await this.#putFragment(lineage, file, range));
    this.#inventory = null;
    return { objects: [...inside.map(({ objectName }) => objectName), ...stored], isNew: stored.length > 0 };
  }

  async #join(
    lineage: LineageInventory,
    match: FittingSegment,
    file: SegmentFile,
  ): Promise<'joined' | 'damaged-there' | DivergedPlan> {
    const { repository } = this.#options;
    const { checker, isPrimed } = await this.#checkerFor(lineage, match, file);
    const { timeline, number, segmentBytes } = file;
    try {
      await joinSegment(repository, checker, {
        place: lineage,
        timeline,
        number,
        segmentBytes,
        read: () => file.read(),
      });
    } catch (error) {
      this.#chain = null;
      if (['OBJECT_DAMAGED', 'OBJECT_TRUNCATED'].includes(codeOf(error) ?? '')) return 'damaged-there';
      if (codeOf(error) !== 'WAL_SEGMENT_UNSOUND') throw error;
      const alone = await new SegmentChecker(segmentBytes, file.system).check(number, file.read());
      if (alone !== null || !isPrimed) throw unsoundFile(file.name, alone);
      // Sound WAL, which does not go on from what is stored: it is another history's.
      return bytesDiffer(file);
    }
    this.#chain = { lineage: lineage.lineage, timeline, next: number + 1n, checker };
    return 'joined';
  }

  async #tryPart(
    lineage: LineageInventory,
    file: SegmentFile,
    untilSwitch: boolean,
    needsProof: boolean,
  ): Promise<Attempt> {
    const alone = await findValidEnd(file, null);
    const match = await this.#match(lineage, file, { end: alone.end, isPart: untilSwitch });
    if (match.kind === 'conflict') return { diverged: match.diverged };
    if (match.kind === 'elsewhere') return 'elsewhere';
    if (needsProof && match.proof === 'nothing') return 'unproved';
    let { end } = match;
    if (match.proof === 'adjoins' && end > file.start) {
      const continued = await findValidEnd(file, this.#readBefore(lineage, match.path, file));
      // Neither the rest of the record before nor the first one of its own goes on from there.
      if (continued.end === file.start) return { diverged: bytesDiffer(file) };
      end = minLsn(end, continued.end);
    }
    const wanted = { start: file.start, end };
    const isNothing = end <= file.start;
    const missing = isNothing ? [] : missingRanges(match.stored, wanted).flatMap(cutFragments);
    const stored: string[] = [];
    for (const range of missing) stored.push(await this.#putFragment(lineage, file, range));
    if (stored.length > 0) {
      this.#tellGap(match);
      this.#inventory = null;
    }
    const objects = isNothing ? [] : [...objectsOf(lineage, file, wanted), ...stored];
    return { place: placeOf(lineage), objects, isNew: stored.length > 0, range: isNothing ? null : wanted };
  }

  async #match(lineage: LineageInventory, file: SegmentFile, wanted: { end: bigint; isPart: boolean }) {
    const { repository, onAlarm, findPrevious } = this.#options;
    const match = await matchSegment(repository, lineage, file, {
      ...wanted,
      onDamage: ({ objectName }, error) => {
        if (this.#damaged.has(objectName)) return;
        this.#damaged.add(objectName);
        onAlarm({ alarm: 'damaged', objectName, error });
      },
    });
    if (match.kind !== 'fits' || match.proof !== 'adjoins' || this.#isChained(lineage, file)) return match;
    const previous = await findPrevious(file);
    const conflict = previous === null ? null : await matchPrevious(repository, lineage, match.path, previous);
    return conflict ?? match;
  }

  #isChained(lineage: LineageInventory, { timeline, number }: SegmentFile): boolean {
    const chain = this.#chain;
    return chain?.lineage === lineage.lineage && chain.timeline === timeline && chain.next === number;
  }

  /** A checker that has read the stored WAL up to the file, where there is any: so it checks that the file goes on from there. */
  async #checkerFor(
    lineage: LineageInventory,
    match: FittingSegment,
    file: SegmentFile,
  ): Promise<{ checker: SegmentChecker; isPrimed: boolean }> {
    if (this.#isChained(lineage, file)) return { checker: this.#chain!.checker, isPrimed: true };
    const checker = new SegmentChecker(file.segmentBytes, file.system);
    if (match.proof !== 'adjoins') return { checker, isPrimed: false };
    let bytes = 0;
    const counted = async function* (pieces: AsyncIterable<Buffer>) {
      for await (const piece of pieces) {
        bytes += piece.length;
        yield piece;
      }
    };
    const stop = await checker.check(file.number - 1n, counted(this.#readBefore(lineage, match.path, file)));
    if (stop === null && bytes === file.segmentBytes) return { checker, isPrimed: true };
    // Stored WAL that begins inside the segment before, or is no sound WAL itself, proves nothing.
    return { checker: new SegmentChecker(file.segmentBytes, file.system), isPrimed: false };
  }

  #readBefore(lineage: LineageInventory, path: readonly TimelineStretch[], file: SegmentFile): AsyncIterable<Buffer> {
    const stored = new StoredWal(this.#options.repository, lineage, path);
    return stored.read(file.start - BigInt(file.segmentBytes), file.start);
  }

  async #putFragment(lineage: LineageInventory, file: SegmentFile, range: LsnRange): Promise<string> {
    const fragment = { timeline: file.timeline, ...range, receiver: this.#receiver };
    const objectName = fragmentObjectName(lineage, fragment);
    const bytes = await cutBytes(file, range);
    // The id is drawn, so a name that is taken holds what an earlier attempt of our own stored: the same bytes.
    await this.#options.repository.putBody('wal-fragment', objectName, bytes);
    return objectName;
  }

  #tellGap({ gap }: FittingSegment): void {
    if (gap === null) return;
    this.#options.onAlarm({ alarm: 'gap', gap, error: holeAlarm(this.#options.cluster, gap) });
  }

  // What has to be there before.

  /** No WAL of a timeline before its history: the server's own file is taken first where it is not stored yet. */
  async #ensureHistory({ timeline, segmentBytes }: SegmentFile): Promise<void> {
    if (timeline === 1) return;
    const known = rankLineages(await this.#list(), this.#options, this.#preferred);
    if (known.some(({ histories }) => histories.has(timeline))) return;
    const content = await this.#options.findHistory(timeline);
    if (content !== null) await this.keepHistory(describeHistory(timeline, content), segmentBytes);
    else throw historyWanted(timeline);
  }

  /**
   * True when a lineage that was begun for another history got the one of the file's timeline: what another lineage has under that number may be
   * another promotion's. Errors: WAL_HISTORY_ABSENT.
   */
  async #beginsWithHistory(lineage: LineageInventory, { timeline }: SegmentFile): Promise<boolean> {
    if (timeline === 1 || lineage.timelines.size > 0 || lineage.histories.size > 0) return false;
    const content = (await this.#options.findHistory(timeline)) ?? (await this.#historyOfParent(lineage, timeline));
    if (content === null) throw historyWanted(timeline);
    // Whatever stands under the name by now is looked at again by the caller.
    const name = historyObjectName(lineage, timeline);
    await putTwice(this.#options.repository, 'timeline-history', name, Buffer.from(content, 'utf8'));
    return true;
  }

  /** The same history, if it is proved that both were on that timeline before they parted; else `null`. */
  async #historyOfParent({ header }: LineageInventory, timeline: number): Promise<string | null> {
    const { parent } = header;
    const left = (await this.#list()).lineages.find(({ lineage }) => lineage === parent?.lineage);
    const switchLsn = left?.histories.get(timeline)?.at(-1)?.switchLsn;
    if (parent == null || left === undefined || switchLsn === undefined) return null;
    if (parent.forkTimeline !== timeline || parent.forkLsn <= switchLsn) return null;
    return (await readHistoryFile(this.#options.repository, left, timeline)).toString('utf8');
  }

  async #list(): Promise<WalInventory> {
    this.#inventory ??= await readWalInventory(this.#options.repository, this.#options.system);
    return this.#inventory;
  }
}

/** What came of holding a file against one lineage. */
type Attempt = KeptFile | { readonly diverged: DivergedPlan } | 'elsewhere' | 'unproved' | 'changed';

/** Holds a file against one lineage. With `needsProof`, one that says nothing about the file does not take it. */
type TryLineage = (lineage: LineageInventory, needsProof: boolean) => Promise<Attempt>;

interface Conflict {
  readonly lineage: LineageInventory;
  readonly diverged: DivergedPlan;
}

function bytesDiffer({ timeline }: SegmentFile): DivergedPlan {
  return { kind: 'diverged', reason: 'bytes-differ', forkTimeline: timeline, forkLsn: null };
}

function placeOf({ system, lineage }: LineagePlace): LineagePlace {
  return { system, lineage };
}
