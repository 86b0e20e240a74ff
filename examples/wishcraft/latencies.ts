/** The newest latencies of the application's answers, and what they come to. */
export interface Latencies {
  add(ms: number): void;
  summary(): { count: number; medianMs: number; p95Ms: number };
}

/** Enough for a percentile that means something, and little enough to sort on each request. */
const keptCountMax = 1_000;

/** Keeps the newest thousand; `count` is of all that were added. */
export function createLatencies(): Latencies {
  const kept: number[] = [];
  let count = 0;
  return {
    add: (ms) => {
      kept[count % keptCountMax] = ms;
      count += 1;
    },
    summary: () => {
      const sorted = kept.toSorted((a, b) => a - b);
      const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
      return { count, medianMs: at(0.5), p95Ms: at(0.95) };
    },
  };
}
