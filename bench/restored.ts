import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { measureTables } from './tools/index.ts';

/** ext4 passes over the inodes of files that were deleted in the last five seconds, one by one, whenever it makes a file: the next one would pay for it. */
const deletedMs = 6_000;

export async function removeAndForget(directory: string): Promise<void> {
  await rm(directory, { recursive: true });
  await delay(deletedMs);
}

/** Who restores less than there is, or nothing, is not fast but wrong. */
export async function requireRestored(directory: string, expected: number): Promise<void> {
  const found = await measureTables(directory);
  if (found !== expected) throw new Error(`"${directory}" has ${found} bytes below base, expected ${expected}`);
}
