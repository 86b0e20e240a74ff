import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import { hexId, type JsonObject, type SealedObjects } from '../sealed/index.ts';
import { listStatements, putStatement, type RefusedAttestation, statementFields } from './statement.ts';

const doubtRecord = z.object({ ...statementFields, snapshots: z.array(hexId).min(1) });

/** A signed statement against snapshots, the first of which was looked at. */
export type Doubt = z.infer<typeof doubtRecord>;

/** Where doubts lie: all in one place, so that one listing tells that there are none. No snapshot is called like that. */
export const DOUBTS_PREFIX = `${kindPrefix('attestation')}doubts/`;

/**
 * Signs and stores, in one object, that snapshots are in doubt: whoever is stopped has cast all of the doubt, or none of it.
 *
 * Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function attestDoubt(
  objects: SealedObjects,
  statement: { snapshots: readonly string[]; facts: JsonObject },
): Promise<Doubt> {
  const { snapshots, facts } = statement;
  return putStatement(objects, doubtRecord, {
    directory: DOUBTS_PREFIX,
    statement: { snapshots: [...snapshots], facts },
  });
}

/**
 * Every doubt whose signature was checked, oldest first, and those that were refused; those about snapshots that were forgotten are among them, as others may stand
 * on these. Errors: those of the store.
 */
export async function listDoubts(objects: SealedObjects): Promise<{ doubts: Doubt[]; refused: RefusedAttestation[] }> {
  const { statements, refused } = await listStatements(objects, doubtRecord, {
    directory: DOUBTS_PREFIX,
    whyRefused: () => null,
  });
  return { doubts: statements, refused };
}
