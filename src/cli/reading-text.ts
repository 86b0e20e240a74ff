import type { ReadingDone } from '../protect/backup/index.ts';
import { shortId } from './output/index.ts';

/** In a few words, how a snapshot was read. */
export function describeReading(reading: ReadingDone): string {
  if (reading.manner === 'increment') return `what changed since ${shortId(reading.base)}`;
  const all = reading.method === 'direct' ? 'everything, from the disk' : 'everything';
  return reading.why === null ? all : `${all}, as ${reading.why}`;
}
