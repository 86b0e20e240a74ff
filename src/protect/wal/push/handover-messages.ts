import { join } from 'node:path';
import { z } from 'zod';
import { HoldfastError } from '../../../lib/index.ts';
import type { ToldAlarm, WalAlarm } from '../events.ts';

// The words that a `wal push` and a receiver exchange over the socket; `docs/wal-push.md` has the protocol.

/** A line longer than this is not of this protocol. */
export const LINE_BYTES_MAX = 64 * 1024;

/** What the system takes as the path of a socket, with the zero byte behind it. */
const SOCKET_PATH_BYTES_MAX = 103;

/** A file up to this size is handed over through memory, a larger one through a temporary file. */
export const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/** Where the receiver of a system listens; `null` when the state directory's path is too long for a socket. */
export function socketPath(stateDirectory: string, system: string): string | null {
  const path = join(stateDirectory, `wal-push.${system}.sock`);
  return Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX ? null : path;
}

export const offerSchema = z.object({
  holdfast: z.literal('wal-push'),
  version: z.literal(1),
  repository: z.string(),
  cluster: z.string().nullable(),
  system: z.string(),
  file: z.string().max(64),
  size: z
    .int()
    .min(1)
    .max(1024 ** 3),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** What a client has. */
export type Offer = z.infer<typeof offerSchema>;

const errorShape = {
  code: z.string(),
  message: z.string(),
  detail: z.string().nullable(),
  hints: z.array(z.string()),
  retryable: z.boolean(),
};
const errorSchema = z.object(errorShape);
type ErrorParts = z.infer<typeof errorSchema>;

const alarms = [
  'gap',
  'fork',
  'other-system',
  'damaged',
  'segment-not-joined',
  'store-away',
  'spool',
  'slot',
  'budget',
  'keys',
  'locks',
  'synchronous-by-wildcard',
] as const satisfies readonly WalAlarm['alarm'][];

export const answerSchema = z.discriminatedUnion('answer', [
  z.object({ answer: z.literal('send') }),
  z.object({ answer: z.literal('pass') }),
  z.object({
    answer: z.literal('kept'),
    ...{ system: z.string(), lineage: z.string(), isNew: z.boolean() },
    /** What the file gave rise to: whoever pushed it is told, too. */
    alarms: z.array(z.object({ alarm: z.enum(alarms), ...errorShape })).default([]),
  }),
  z.object({ answer: z.literal('refused'), ...errorShape }),
]);

/** What a receiver says to it. */
export type Answer = z.infer<typeof answerSchema>;

export function partsOfError({ code, message, detail, hints, retryable }: HoldfastError): ErrorParts {
  return { code, message, detail: detail ?? null, hints: [...hints], retryable };
}

export function errorOfParts({ code, message, detail, hints, retryable }: ErrorParts): HoldfastError {
  return new HoldfastError(code, message, { ...(detail === null ? {} : { detail }), hints, retryable });
}

export function alarmOfParts({ alarm, ...parts }: Extract<Answer, { answer: 'kept' }>['alarms'][number]): ToldAlarm {
  return { alarm, error: errorOfParts(parts) };
}

/** The JSON of a line, `null` when it is none. */
export function parseLine<Value>(schema: z.ZodType<Value>, line: string): Value | null {
  try {
    const parsed = schema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

export function formatLine(value: Offer | Answer): string {
  return `${JSON.stringify(value)}\n`;
}
