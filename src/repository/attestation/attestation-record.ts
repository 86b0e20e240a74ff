import { z } from 'zod';
import { codeOf, HoldfastError, inLanes } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { signRecord, whyNotSigned } from '../key/index.ts';
import { isAbsent } from '../object-store/index.ts';
import {
  encodeJson,
  facts,
  hexId,
  isUnreadableRecord,
  type JsonObject,
  moment,
  readRecord,
  type SealedObjects,
} from '../sealed/index.ts';

const attestationRecord = z.object({
  version: z.literal(1),
  snapshot: hexId,
  level: z.enum(['stored', 'verified', 'proven', 'doubtful']),
  at: moment,
  facts,
  publicKey: z.string(),
  signature: z.string(),
});

/** A signed statement about one snapshot. */
export type Attestation = z.infer<typeof attestationRecord>;

export type AttestationLevel = Attestation['level'];

/** How far a snapshot was put to the test, as far as that speaks for it. */
export type ProofLevel = Exclude<AttestationLevel, 'doubtful'>;

/** Statements that are asked for at once. */
const READS_MAX = 16;

/** A statement that is not to be believed, with the reason. */
export interface RefusedAttestation {
  name: string;
  reason: string;
}

/** Signs and stores a statement. Errors: those of the store; `REPOSITORY_READ_ONLY`. */
export async function attest(
  objects: SealedObjects,
  statement: { snapshot: string; level: AttestationLevel; facts: JsonObject },
): Promise<Attestation> {
  const at = new Date(objects.clock.now()).toISOString();
  const record = attestationRecord.parse(signRecord(objects.keys, { version: 1, ...statement, at }));
  await objects.putDrawn('attestation', directoryOf(statement.snapshot), encodeJson(record));
  return record;
}

/** Every statement about a snapshot whose signature was checked, oldest first, and those that were refused. Errors: those of the store. */
export async function listAttestations(
  objects: SealedObjects,
  snapshot: string,
): Promise<{ attestations: Attestation[]; refused: RefusedAttestation[] }> {
  const attestations: Attestation[] = [];
  const refused: RefusedAttestation[] = [];
  const read = async ({ name }: { name: string }) => {
    try {
      attestations.push(await readAttestation(objects, name, snapshot));
    } catch (error) {
      if (!isOfOneStatement(error)) throw error;
      refused.push({ name, reason: error.detail ?? error.message });
    }
  };
  await inLanes(READS_MAX, objects.store.list(directoryOf(snapshot)), read);
  refused.sort((a, b) => (a.name < b.name ? -1 : 1));
  attestations.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return { attestations, refused };
}

/** Whether an error is one of a single statement; anything else is the store's own trouble. */
function isOfOneStatement(error: unknown): error is HoldfastError {
  return isAbsent(error) || isUnreadableRecord(error) || codeOf(error) === 'ATTESTATION_REFUSED';
}

async function readAttestation(objects: SealedObjects, name: string, snapshot: string): Promise<Attestation> {
  const value = await objects.getJson('attestation', name);
  const record = readRecord(attestationRecord, name, value);
  const reason = whyNotSigned(objects.keys, value);
  if (reason !== null)
    throw refuse(name, `Expected a valid signature by the key of this repository, found: ${reason}.`);
  if (record.snapshot !== snapshot)
    throw refuse(name, `Expected a statement about ${snapshot}, found one about ${record.snapshot}.`);
  return record;
}

function refuse(name: string, detail: string): HoldfastError {
  return new HoldfastError('ATTESTATION_REFUSED', `cannot trust attestation "${name}"`, { detail });
}

function directoryOf(snapshot: string): string {
  return `${kindPrefix('attestation')}${snapshot}/`;
}
