import { z } from 'zod';
import { formatLsn, parseLsn, type Timestamp } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import type { JudgedSpace } from './receiver/space-judge.ts';
import { readStatuses, type StoredStatus, statusName } from './volatile-status.ts';

/** A running receiver writes its status this often, and at once when it begins or ends. */
export const STATUS_INTERVAL_MS = 5_000;

/** A status older than this, by the store's clock, is of a receiver that is gone or cut off. */
export const STATUS_FRESH_MS = 20_000;

/** What a receiver says of itself under `volatile/`: for who wants to know whether one runs, and for the live RPO. Never needed for a restore. */
export interface ReceiverStatus {
  readonly system: string;
  readonly cluster: string;
  readonly lineage: string;
  readonly timeline: number;
  /** The receiver's own id, as in the names of its fragments. */
  readonly receiver: string;
  /** False in the last one that it writes. */
  readonly running: boolean;
  /** Whether it only helped a backup, so that nobody relies on it to run on. Receivers of before did not say it. */
  readonly temporary?: boolean;
  readonly durableLsn: bigint;
  readonly serverFlushLsn: bigint;
  /** All WAL that the server had flushed at this moment of its own clock is durable; it ended at `lsn`. */
  readonly known: { readonly until: Timestamp; readonly lsn: bigint } | null;
  readonly synchronous: boolean | null;
  /** What WAL takes on the server; `null` when it would not say, or was not asked yet. */
  readonly space?: JudgedSpace | null;
}

export type StoredReceiverStatus = StoredStatus<ReceiverStatus>;

const lsn = z.string().transform((text) => parseLsn(text));
const bytes = z
  .string()
  .regex(/^-?[0-9]+$/)
  .transform((text) => BigInt(text))
  .nullable();
const schema = z.object({
  version: z.literal(1),
  role: z.literal('wal-receiver'),
  system: z.string(),
  cluster: z.string(),
  lineage: z.string(),
  timeline: z.int(),
  receiver: z.string(),
  running: z.boolean(),
  temporary: z.boolean().default(false),
  durableLsn: lsn,
  serverFlushLsn: lsn,
  /** Microseconds since 1970, as text, as JSON's numbers would round them. */
  known: z
    .object({
      until: z
        .string()
        .regex(/^-?[0-9]+$/)
        .transform((text) => BigInt(text)),
      lsn,
    })
    .nullable(),
  synchronous: z.boolean().nullable(),
  /** Bytes as text, as JSON's numbers would round them. Receivers of before did not say it. */
  space: z
    .object({
      ...{ slotBytes: bytes, safeBytes: bytes, walBytes: bytes, freeBytes: bytes },
      slotStatus: z.enum(['reserved', 'extended', 'unreserved', 'lost']).nullable(),
      budgetBytes: z.number(),
      isOverBudget: z.boolean(),
      ...{ growthPerSecond: z.number().nullable(), fullInSeconds: z.number().nullable() },
      lostInSeconds: z.number().nullable(),
    })
    .nullable()
    .default(null),
});

/** One name for each slot of a cluster: a receiver that comes back takes the place of the one before. */
export function receiverStatusName(identity: { system: string; cluster: string; slot: string }): string {
  return statusName(`wal-receiver ${identity.system} ${identity.slot} ${identity.cluster}`);
}

export async function writeReceiverStatus(repository: Repository, name: string, status: ReceiverStatus): Promise<void> {
  await repository.putVolatileJson('status', name, {
    version: 1,
    role: 'wal-receiver',
    ...status,
    durableLsn: formatLsn(status.durableLsn),
    serverFlushLsn: formatLsn(status.serverFlushLsn),
    known: status.known === null ? null : { until: String(status.known.until), lsn: formatLsn(status.known.lsn) },
    space: status.space == null ? null : encodeSpace(status.space),
  });
}

function encodeSpace({ slotBytes, safeBytes, walBytes, freeBytes, ...others }: JudgedSpace) {
  const text = (value: bigint | null) => (value === null ? null : String(value));
  return {
    ...others,
    ...{ slotBytes: text(slotBytes), safeBytes: text(safeBytes), walBytes: text(walBytes), freeBytes: text(freeBytes) },
  };
}

/** What all receivers last said, the newest first. A status that cannot be read tells nothing and is left out. */
export function readReceiverStatuses(repository: Repository): Promise<StoredReceiverStatus[]> {
  return readStatuses(repository, schema);
}

/** The status of a receiver that runs for this cluster now, as far as one can tell; `null` when none does. */
export async function findRunningReceiver(
  repository: Repository,
  identity: { system: string; cluster: string },
): Promise<StoredReceiverStatus | null> {
  const statuses = await readReceiverStatuses(repository);
  const isIt = ({ system, cluster, running, ageMs }: StoredReceiverStatus) =>
    system === identity.system && cluster === identity.cluster && running && ageMs < STATUS_FRESH_MS;
  return statuses.find(isIt) ?? null;
}

/**
 * The last moment at which the WAL stored up to `durableEnd` was known to be all that the server had; `null` when no receiver said so.
 * What a receiver says of WAL beyond `durableEnd`, or of another lineage, does not count.
 */
export async function readKnownUntil(
  repository: Repository,
  stored: { lineage: string; durableEnd: bigint },
): Promise<Timestamp | null> {
  return knownUntilOf(await readReceiverStatuses(repository), stored);
}

/** The same from what receivers said before. */
export function knownUntilOf(
  statuses: readonly StoredReceiverStatus[],
  stored: { lineage: string; durableEnd: bigint },
): Timestamp | null {
  const moments = statuses.flatMap(({ lineage, known }) =>
    lineage === stored.lineage && known !== null && known.lsn <= stored.durableEnd ? [known.until] : [],
  );
  return moments.reduce<Timestamp | null>((latest, at) => (latest === null || at > latest ? at : latest), null);
}

/** The lineage in which a receiver of the cluster last said that it stores, however long ago; `null` when none ever did. */
export async function readStreamedLineage(
  repository: Repository,
  identity: { system: string; cluster: string },
): Promise<string | null> {
  return streamedLineageOf(await readReceiverStatuses(repository), identity);
}

/** The same from what receivers said before. */
export function streamedLineageOf(
  statuses: readonly StoredReceiverStatus[],
  identity: { system: string; cluster: string },
): string | null {
  const own = statuses.find(({ system, cluster }) => system === identity.system && cluster === identity.cluster);
  return own?.lineage ?? null;
}
