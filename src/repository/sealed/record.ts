import { z } from 'zod';
import { HoldfastError } from '../../lib/index.ts';

/** What JSON can say; members that are `undefined` are left out. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

/** 32 random bytes as 64 lower-case hexadecimal digits: ids of objects, snapshots and lineages. */
export const hexId = z.string().regex(/^[0-9a-f]{64}$/);

/** 16 random bytes as 32 lower-case hexadecimal digits: ids of writers, leases and slots. */
export const shortHexId = z.string().regex(/^[0-9a-f]{32}$/);

/** A moment as `Date.toISOString` prints it, with `Z`. */
export const moment = z.iso.datetime();

/** Free facts about an event: any JSON object. */
export const facts: z.ZodType<JsonObject> = z.record(z.string(), z.json());

/** What one stored record can be like without the others, or the store, being doubted. */
const UNREADABLE_CODES: ReadonlySet<string> = new Set([
  'OBJECT_DAMAGED',
  'OBJECT_NEWER',
  'KEY_EPOCH_ABSENT',
  'RECORD_UNRECOGNIZED',
]);

/** Whether an error says of one record that it cannot be read; one that is not there is another thing, and anything else is the store's own trouble. */
export function isUnreadableRecord(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && UNREADABLE_CODES.has(error.code);
}

/**
 * Reads an authenticated record by its schema.
 *
 * Errors: `RECORD_UNRECOGNIZED` naming the object. Its bytes are authentic, so a later version wrote it, or a faulty one.
 */
export function readRecord<T>(schema: z.ZodType<T>, name: string, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new HoldfastError('RECORD_UNRECOGNIZED', `cannot read record "${name}": its form is not recognized`, {
    detail: `Its content is authentic, but: ${z.prettifyError(result.error).replaceAll('\n', ' ')}.`,
    hints: ['Install the version of Holdfast that wrote it, or a newer one.'],
  });
}
