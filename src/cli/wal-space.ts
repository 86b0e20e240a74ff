import type { JudgedSpace } from '../protect/wal/index.ts';
import type { Json } from './output/index.ts';

/** What WAL takes on the server, for programs: bytes as numbers, durations in seconds. */
export function spaceDocument(space: JudgedSpace): Json {
  const { slotBytes, safeBytes, walBytes, freeBytes, ...others } = space;
  const number = (value: bigint | null) => (value === null ? null : Number(value));
  return {
    ...{ slotBytes: number(slotBytes), safeBytes: number(safeBytes) },
    ...{ walBytes: number(walBytes), freeBytes: number(freeBytes) },
    ...{ slotStatus: others.slotStatus, budgetBytes: others.budgetBytes, overBudget: others.isOverBudget },
    growthPerSecond: others.growthPerSecond,
    ...{ fullInSeconds: others.fullInSeconds, lostInSeconds: others.lostInSeconds },
  };
}
