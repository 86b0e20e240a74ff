import { z } from 'zod';
import { hexId, moment } from '../sealed/index.ts';

/** What a hold keeps. */
const scope = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('snapshots'), snapshots: z.array(hexId).min(1) }),
  z.object({ kind: z.literal('cluster'), cluster: z.string().min(1) }),
  z.object({ kind: z.literal('everything') }),
]);

const words = z.string().trim().min(1);

export const holdRecord = z.discriminatedUnion('record', [
  z.object({
    version: z.literal(1),
    record: z.literal('hold'),
    at: moment,
    who: words,
    why: words,
    /** By the store's clock; `null`: until somebody removes it. */
    until: moment.nullable(),
    /** What it is for: a person's wish, or a recovery that is under way. */
    purpose: z.enum(['legal', 'recovery']),
    scope,
  }),
  z.object({
    version: z.literal(1),
    record: z.literal('end'),
    /** The id of the hold that is over. */
    hold: hexId,
    at: moment,
    who: words,
    why: words,
  }),
]);

export type HoldRecord = z.infer<typeof holdRecord>;

/** Which snapshots a hold keeps: those it names, all of a cluster with all its WAL, or all there is. */
export type HoldScope = z.infer<typeof scope>;

export type HoldPurpose = 'legal' | 'recovery';

/** Keeps what it names from being forgotten and deleted. Times are milliseconds since 1970. */
export interface Hold {
  /** 64 hexadecimal digits: the id of its object. */
  readonly id: string;
  readonly at: number;
  readonly who: string;
  readonly why: string;
  /** In the store's own time; `null`: until somebody removes it. */
  readonly until: number | null;
  readonly purpose: HoldPurpose;
  readonly scope: HoldScope;
  /** When, by whom and why it was removed; `null` when it was not. */
  readonly ended: { readonly at: number; readonly who: string; readonly why: string } | null;
}

/** Whether a hold keeps what it names at a moment of the store's time. */
export function isHoldInForce({ until, ended }: Pick<Hold, 'until' | 'ended'>, now: number): boolean {
  return ended === null && (until === null || until > now);
}
