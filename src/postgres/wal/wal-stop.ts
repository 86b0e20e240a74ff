/**
 * Why a scan stopped:
 * - `input-ended`: there was no more input, and it ended between two records.
 * - `incomplete-record`: there was no more input, and it ended inside a record.
 * - `no-record`: zeros stand where a record or a page would begin. This is how WAL ends on a server that runs, and how a
 *   segment ends that was filled up.
 * - `invalid-page`, `invalid-record`, `wrong-checksum`: what stands there is not this WAL's next page or record. In a segment
 *   that was used before this is how WAL ends, too; in the middle of WAL it is damage.
 * - `missing-continuation`: the rest of a record is not where it must be.
 */
export type WalStopReason =
  | 'input-ended'
  | 'incomplete-record'
  | 'no-record'
  | 'invalid-page'
  | 'invalid-record'
  | 'wrong-checksum'
  | 'missing-continuation';

/** Where and why a scan stopped. All WAL before `validEndLsn` is whole; `detail` is a sentence with what was found. */
export interface WalStop {
  readonly reason: WalStopReason;
  /** Where the page or the record begins that could not be read. */
  readonly lsn: bigint;
  readonly validEndLsn: bigint;
  readonly detail: string;
}
