import { z } from 'zod';
import type { SnapshotRecord } from '../../repository/index.ts';

/** What came of holding an increment against the WAL: so many blocks were looked for and found sent, or why that could not be done. */
const crossCheckDone = z.object({ blocks: z.number().nullable(), why: z.string().nullable() });

const readingDone = z.discriminatedUnion('manner', [
  z.object({
    manner: z.literal('increment'),
    base: z.string(),
    baseStart: z.string(),
    crossCheck: crossCheckDone.nullable().default(null),
  }),
  z.object({
    manner: z.literal('everything'),
    over: z.string().nullable(),
    why: z.string().nullable(),
    method: z.enum(['stream', 'direct']),
  }),
]);

/**
 * How a snapshot was read, as its record tells it.
 *
 * `increment`: the server sent what changed since snapshot `base` began, at `baseStart`; that one may go, nothing of this one is lost with it.
 * `crossCheck` is null where an older version made it.
 * `everything`: all files were read, and written over the maps of snapshot `over`; `why` says why no increment was taken, as a sentence without its
 * full stop, and is null where everything was asked for.
 */
export type ReadingDone = z.infer<typeof readingDone>;

/** How a snapshot was read; null for one that an older version made. */
export function readingOf({ details }: SnapshotRecord): ReadingDone | null {
  return readingDone.safeParse(details.reading).data ?? null;
}
