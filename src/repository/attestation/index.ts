/**
 * Signed statements about snapshots: how far each one has been put to the test.
 *
 * Nouns. *Attestation*: a record beside a snapshot that says what was done with it. *Level*: `stored` (its bytes and the WAL it needs are durable),
 * `verified` (read again), `proven` (restored, started, checked); and, against it, `doubtful`: a cross-check found that
 * what it holds may not be what the server had. It judges nothing: the levels are for alarms, retention and recovery to use.
 */
export * from './attestation-record.ts';
