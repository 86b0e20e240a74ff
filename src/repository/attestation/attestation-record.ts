import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import { hexId, type JsonObject, type SealedObjects } from '../sealed/index.ts';
import { listStatements, putStatement, type RefusedAttestation, statementFields } from './statement.ts';

const attestationRecord = z.object({
  ...statementFields,
  snapshot: hexId,
  level: z.enum(['stored', 'verified', 'proven']),
});

/** A signed statement about one snapshot. */
export type Attestation = z.infer<typeof attestationRecord>;

/** How far a snapshot was put to the test. */
export type ProofLevel = Attestation['level'];

/** Signs and stores a statement. Errors: those of the store; `REPOSITORY_READ_ONLY`. */
export async function attest(
  objects: SealedObjects,
  statement: { snapshot: string; level: ProofLevel; facts: JsonObject },
): Promise<Attestation> {
  return putStatement(objects, attestationRecord, { directory: directoryOf(statement.snapshot), statement });
}

/** Every statement about a snapshot whose signature was checked, oldest first, and those that were refused. Errors: those of the store. */
export async function listAttestations(
  objects: SealedObjects,
  snapshot: string,
): Promise<{ attestations: Attestation[]; refused: RefusedAttestation[] }> {
  const { statements, refused } = await listStatements(objects, attestationRecord, {
    directory: directoryOf(snapshot),
    whyRefused: (record) =>
      record.snapshot === snapshot
        ? null
        : `Expected a statement about ${snapshot}, found one about ${record.snapshot}.`,
  });
  return { attestations: statements, refused };
}

function directoryOf(snapshot: string): string {
  return `${kindPrefix('attestation')}${snapshot}/`;
}
