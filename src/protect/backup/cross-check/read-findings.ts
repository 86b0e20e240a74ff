import { z } from 'zod';
import { parseLsn } from '../../../postgres/index.ts';
import type { Findings } from './finding.ts';

const lsn = z
  .string()
  .regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)
  .transform((text) => parseLsn(text));
const count = z.int().nonnegative();
const findingsRead = z.object({
  ...{ from: lsn, to: lsn, count },
  first: z.array(
    z.object({
      kind: z.enum(['not-sent', 'not-whole', 'regrown', 'differs']),
      ...{ tablespaceOid: count, databaseOid: count, relationNumber: count, fork: count, block: count },
      ...{ path: z.string(), lsn: lsn.nullable(), relation: z.string().nullable() },
    }),
  ),
});

/** What `findingsFacts` gave, read again; null for what is something else, or that of a later version. */
export function readFindings(facts: unknown): Findings | null {
  return findingsRead.safeParse(facts).data ?? null;
}
