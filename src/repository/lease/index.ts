/**
 * Who is writing just now.
 *
 * Nouns. *Lease*: a record under `volatile/` that its holder renews; one that was not renewed in time is over. A pruner waits for leases and
 * deletes nothing that a living one may need (rule A2). A lease fences nothing: its holder has to ask whether it still has it before it commits.
 */
export { acquireLease, Lease, type LeaseRecord, LONGEST_RUN_MS, leaseRecord } from './lease.ts';
export * from './list-leases.ts';
