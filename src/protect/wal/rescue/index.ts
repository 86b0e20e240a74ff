/**
 * `wal rescue`: what survives in the `pg_wal` of a server that is dead.
 *
 * It only reads there. What it finds it hands to `../files/`, in the order of the timelines; it says what was gained and what is missing still.
 */
export { rescueWal, type WalRescueOptions, type WalRescueReport } from './rescue-wal.ts';
export type { PassedOver } from './survey.ts';
