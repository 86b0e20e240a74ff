/** Median, smallest and largest of some numbers. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** Of at least one number; the median of an even count is the mean of the two in the middle. */
export function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.ceil((sorted.length - 1) / 2)];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (low === undefined || high === undefined || min === undefined || max === undefined) {
    throw new RangeError('cannot take the spread of no numbers');
  }
  return { median: (low + high) / 2, min, max };
}

/**
 * The spread of ours divided by theirs, round by round: what slowed a whole round down slowed both, and cancels.
 * Both lists are in the order of the rounds.
 */
export function ratiosOf(ours: readonly number[], theirs: readonly number[]): Spread {
  if (ours.length !== theirs.length) throw new RangeError('cannot divide lists of different lengths');
  return spreadOf(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}
