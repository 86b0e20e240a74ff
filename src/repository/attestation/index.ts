/**
 * Signed statements about snapshots: how far each one has been put to the test, and what speaks against it.
 *
 * Nouns. *Attestation*: a record beside a snapshot that says what was done with it. *Level*: `stored` (its bytes and the WAL it needs are durable),
 * `verified` (read again), `proven` (restored, started, checked). *Doubt*: a statement that what some snapshots hold may not be what the server had.
 * It judges nothing: levels and doubts are for alarms, retention and recovery to use.
 */
export * from './attestation-record.ts';
export * from './doubt-record.ts';
export type { RefusedAttestation } from './statement.ts';
