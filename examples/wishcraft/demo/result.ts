/** The numbers of one run: the last line of `--json`. Times are in seconds, positions in PostgreSQL's text form. */
export interface DemoResult {
  /** Writes that the server had acknowledged up to the recovery position. Each of them was looked for. */
  readonly acknowledgedWrites: number;
  /** Of those, the ones that are not there as they were written. */
  readonly missingWrites: number;
  /** Acknowledged, but committed after the position to which the database was taken back; not in it, on purpose. */
  readonly writesAfterDisaster: number;
  /** From the oldest missing write to the disaster; 0 when none is missing. */
  readonly rpoSeconds: number;
  /** From the disaster to the first moment at which every probe of the application was green. */
  readonly rtoSeconds: number;
  readonly recoveredTo: string;
  readonly snapshot: string;
  readonly backup: { readonly bytes: number; readonly storedBytes: number; readonly seconds: number };
  readonly restore: { readonly bytes: number; readonly seconds: number };
}
