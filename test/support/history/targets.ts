import { formatRecoveryTarget, type RecoveryTarget } from '../../../src/restore/index.ts';
import type { Random } from '../seeded-random.ts';
import type { Branch } from './history.ts';
import type { JudgedRecord } from './model.ts';

/** A moment to restore to, and the records that must have been replayed then. */
export interface Point {
  readonly branch: Branch;
  readonly target: RecoveryTarget;
  readonly exclusive: boolean;
  readonly replayed: readonly JudgedRecord[];
}

/** From where on anything can be reached: the end of the first backup, and a moment when it was surely complete. */
export interface Earliest {
  readonly lsn: bigint;
  readonly at: bigint;
}

type Choice = Omit<Point, 'branch'> | null;
type Chooser = (branch: Branch, random: Random, earliest: Earliest) => Choice;

/** Draws so many moments; most of them on the history that the cluster has now. */
export function choosePoints(branches: readonly Branch[], random: Random, earliest: Earliest, count: number): Point[] {
  const points: Point[] = [];
  const [current, ...left] = branches;
  while (points.length < count) {
    const branch = left.length > 0 && random.below(5) === 0 ? random.pick(left) : current!;
    const choose = points.length === 0 ? chooseLatest : random.pick(choosers);
    const choice = choose(branch, random, earliest);
    if (choice !== null) points.push({ branch, ...choice });
  }
  return points;
}

const chooseLatest: Chooser = ({ records }) => ({ target: { kind: 'latest' }, exclusive: false, replayed: records });

/** As `recovery_target_time`: up to the first end of a transaction that is later, or exclusive as late. */
const chooseTime: Chooser = ({ records }, random, earliest) => {
  const exclusive = random.below(2) === 0;
  const ends = records.filter(({ kind }) => kind !== 'prepare');
  // Mostly the moment of an end itself, where off by one shows.
  const at = random.pick(ends).at + BigInt(random.pick([0, 0, 0, -1, 1, 700, random.below(1_000_000)]));
  if (at < earliest.at || ends.every((record) => record.at < at)) return null;
  const stop = ends.find((record) => record.lsn >= earliest.lsn && (exclusive ? record.at >= at : record.at > at));
  const replayed = records.filter(({ lsn }) => stop === undefined || lsn < stop.lsn);
  return { target: { kind: 'time', at }, exclusive, replayed };
};

/** As `recovery_target_lsn`: the first record that begins there or later is the last one, or the first that is left out. */
const chooseLsn: Chooser = ({ records, starts, end }, random, earliest) => {
  const exclusive = random.below(2) === 0;
  const near = random.below(3) === 0 ? random.pick(starts) : random.pick(records).lsn;
  const lsn = near + BigInt(random.pick([0, 0, 0, -8, 8, 1000, random.below(100_000)]));
  if (lsn < earliest.lsn || lsn > end) return null;
  const stop = starts.find((start) => start >= lsn);
  if (stop === undefined) return null;
  const replayed = records.filter((record) => (exclusive ? record.lsn < stop : record.lsn <= stop));
  return { target: { kind: 'lsn', lsn }, exclusive, replayed };
};

/** Without the commit itself, and with all before it. */
const chooseBefore: Chooser = ({ records }, random, earliest) => {
  const { lsn } = random.pick(records);
  if (lsn <= earliest.lsn) return null;
  const replayed = records.filter((record) => record.lsn < lsn);
  return { target: { kind: 'before', lsn }, exclusive: false, replayed };
};

/** As `recovery_target_xid`: up to and with the commit of that transaction, or exclusive without it. One that was rolled back is refused. */
const chooseXid: Chooser = ({ records }, random, earliest) => {
  const exclusive = random.below(2) === 0;
  const { lsn, kind, xid } = random.pick(records);
  // After a crash a number may have been given again.
  const isPlain = records.filter((record) => record.xid === xid && record.kind !== 'prepare').length === 1;
  if (lsn <= earliest.lsn || kind !== 'commit' || !isPlain) return null;
  const replayed = records.filter((record) => (exclusive ? record.lsn < lsn : record.lsn <= lsn));
  return { target: { kind: 'xid', xid, epoch: null }, exclusive, replayed };
};

const chooseName: Chooser = ({ records, points }, random, earliest) => {
  if (points.length === 0) return null;
  const { name, endLsn } = random.pick(points);
  if (endLsn <= earliest.lsn) return null;
  return { target: { kind: 'name', name }, exclusive: false, replayed: records.filter(({ lsn }) => lsn < endLsn) };
};

const choosers: readonly Chooser[] = [
  ...[chooseTime, chooseTime, chooseTime, chooseLsn, chooseLsn, chooseLsn],
  ...[chooseBefore, chooseBefore, chooseXid, chooseXid, chooseName, chooseName, chooseLatest],
];

/** With the target as a person would type it after `--to`. */
export function describePoint({ branch, target, exclusive, replayed }: Point): string {
  const where = branch.lineage === null ? '' : ` on the history that was left, ${branch.lineage.slice(0, 12)}`;
  return `${formatRecoveryTarget(target)}${exclusive ? ' exclusive' : ''}${where}: ${replayed.length} records`;
}
