import { z } from 'zod';
import { HoldfastError } from '../../lib/index.ts';
import { checkSegmentSize, formatLsn, parseLsn } from '../../postgres/index.ts';

/** Why a lineage began where another one was. */
export type ForkReason =
  /** The server sends other bytes than those stored for the same position. */
  | 'bytes-differ'
  /** The server's timeline left ours before the end of what is stored. */
  | 'timeline-forked-earlier'
  /** The server runs on a timeline that ours had left already. */
  | 'older-timeline'
  /** The server has lost WAL that is stored: it will write other bytes in its place. */
  | 'server-went-back';

/** Where a lineage left its parent. */
export interface LineageParent {
  readonly lineage: string;
  readonly forkTimeline: number;
  /** WAL before it is the same in both; 0 when no shared position could be proved, so that nothing may cross. */
  readonly forkLsn: bigint;
  readonly reason: ForkReason;
}

/** One unforked history of a cluster's WAL (rule A4), as its first object states it. */
export interface LineageHeader {
  readonly lineage: string;
  readonly system: string;
  /** The name under which the plan knows the PostgreSQL cluster. */
  readonly cluster: string;
  /** ISO 8601, from the writer's clock. */
  readonly createdAt: string;
  readonly segmentBytes: number;
  readonly startTimeline: number;
  /** Where the first receiver meant to begin; what is stored is told by the objects. */
  readonly startLsn: bigint;
  readonly parent: LineageParent | null;
}

const lsnText = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);
const lineageId = z.string().regex(/^[0-9a-f]{64}$/);
const timeline = z.int().min(1).max(0xffffffff);

const schema = z.object({
  version: z.literal(1),
  lineage: lineageId,
  system: z.string().regex(/^[0-9]{1,20}$/),
  cluster: z.string().min(1),
  createdAt: z.string(),
  segmentSize: z.int(),
  startTimeline: timeline,
  startLsn: lsnText,
  parent: z
    .object({
      lineage: lineageId,
      forkTimeline: timeline,
      forkLsn: lsnText,
      reason: z.enum(['bytes-differ', 'timeline-forked-earlier', 'older-timeline', 'server-went-back']),
    })
    .nullable(),
});

/** The JSON of the object `lineage`, as `docs/design.md` 8 has it; LSNs as PostgreSQL writes them. */
export function encodeLineageHeader(header: LineageHeader): z.infer<typeof schema> {
  const { segmentBytes, parent, ...others } = header;
  return {
    version: 1,
    ...others,
    segmentSize: segmentBytes,
    startLsn: formatLsn(header.startLsn),
    parent: parent === null ? null : { ...parent, forkLsn: formatLsn(parent.forkLsn) },
  };
}

/**
 * The inverse of `encodeLineageHeader`.
 * Errors: WAL_LINEAGE_INVALID naming the object and the field; WAL_LINEAGE_NEWER for a version that this one does not know.
 */
export function decodeLineageHeader(value: unknown, objectName: string): LineageHeader {
  if (typeof value === 'object' && value !== null && 'version' in value && Number(value.version) > 1) {
    throw new HoldfastError('WAL_LINEAGE_NEWER', `cannot read WAL lineage "${objectName}": it is newer`, {
      detail: `Expected version 1, found version ${String(value.version)}.`,
      hints: ['Use the version of Holdfast that wrote it, or a later one.'],
    });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidLineage(objectName, `The field "${issue?.path.join('.')}" is not valid: ${issue?.message}.`);
  }
  const { version: _, segmentSize, ...others } = parsed.data;
  try {
    checkSegmentSize(segmentSize);
  } catch (cause) {
    throw invalidLineage(objectName, `The segment size ${segmentSize} is not one that PostgreSQL has.`, cause);
  }
  return {
    ...others,
    segmentBytes: segmentSize,
    startLsn: parseLsn(others.startLsn),
    parent: others.parent === null ? null : { ...others.parent, forkLsn: parseLsn(others.parent.forkLsn) },
  };
}

function invalidLineage(objectName: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('WAL_LINEAGE_INVALID', `invalid WAL lineage "${objectName}"`, {
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
