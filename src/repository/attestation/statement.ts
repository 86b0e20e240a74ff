import { z } from 'zod';
import { codeOf, HoldfastError, inLanes } from '../../lib/index.ts';
import { signRecord, whyNotSigned } from '../key/index.ts';
import { isAbsent } from '../object-store/index.ts';
import {
  encodeJson,
  facts,
  isUnreadableRecord,
  type JsonObject,
  moment,
  readRecord,
  type SealedObjects,
} from '../sealed/index.ts';

/** What all statements have in common. */
export const statementFields = {
  version: z.literal(1),
  at: moment,
  facts,
  publicKey: z.string(),
  signature: z.string(),
};

/** Statements that are asked for at once. */
const READS_MAX = 16;

/** A statement that is not to be believed, with the reason. */
export interface RefusedAttestation {
  name: string;
  reason: string;
}

/** Signs a statement and stores it in a directory, under a fresh id. Errors: those of the store; `REPOSITORY_READ_ONLY`. */
export async function putStatement<T extends JsonObject>(
  objects: SealedObjects,
  schema: z.ZodType<T>,
  { directory, statement }: { directory: string; statement: JsonObject },
): Promise<T> {
  const at = new Date(objects.clock.now()).toISOString();
  const record = schema.parse(signRecord(objects.keys, { version: 1, ...statement, at }));
  await objects.putDrawn('attestation', directory, encodeJson(record));
  return record;
}

/**
 * Every statement in a directory whose signature was checked, oldest first, and those that were refused: by their form, their signature, or by
 * `whyRefused`, which gives a whole sentence, or null. Errors: those of the store.
 */
export async function listStatements<T extends { at: string }>(
  objects: SealedObjects,
  schema: z.ZodType<T>,
  { directory, whyRefused }: { directory: string; whyRefused: (record: T) => string | null },
): Promise<{ statements: T[]; refused: RefusedAttestation[] }> {
  const statements: T[] = [];
  const refused: RefusedAttestation[] = [];
  const read = async ({ name }: { name: string }) => {
    try {
      const record = await readStatement(objects, schema, name);
      const reason = whyRefused(record);
      if (reason !== null) throw refuse(name, reason);
      statements.push(record);
    } catch (error) {
      if (!isOfOneStatement(error)) throw error;
      refused.push({ name, reason: error.detail ?? error.message });
    }
  };
  await inLanes(READS_MAX, objects.store.list(directory), read);
  refused.sort((a, b) => (a.name < b.name ? -1 : 1));
  statements.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return { statements, refused };
}

/** Whether an error is one of a single statement; anything else is the store's own trouble. */
function isOfOneStatement(error: unknown): error is HoldfastError {
  return isAbsent(error) || isUnreadableRecord(error) || codeOf(error) === 'ATTESTATION_REFUSED';
}

async function readStatement<T>(objects: SealedObjects, schema: z.ZodType<T>, name: string): Promise<T> {
  const value = await objects.getJson('attestation', name);
  const record = readRecord(schema, name, value);
  const reason = whyNotSigned(objects.keys, value);
  if (reason !== null)
    throw refuse(name, `Expected a valid signature by the key of this repository, found: ${reason}.`);
  return record;
}

function refuse(name: string, detail: string): HoldfastError {
  return new HoldfastError('ATTESTATION_REFUSED', `cannot trust attestation "${name}"`, { detail });
}
