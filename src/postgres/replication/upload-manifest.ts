import type { PostgresConnection } from '../connection/index.ts';
import { formatBackupManifest } from '../format-backup-manifest.ts';

/** The backup on which an increment is to stand. */
export interface IncrementBase {
  /** A decimal number. */
  readonly systemId: string;
  readonly timeline: number;
  /** Where it began: every block that changed from here on is asked for. */
  readonly startLsn: bigint;
  readonly endLsn: bigint;
  /** Files of which only changes are wanted, by their paths on the server; all others are sent whole. */
  readonly files: Iterable<{ readonly path: string; readonly size: number }>;
}

/**
 * Tells the server on which backup the next BASE_BACKUP with INCREMENTAL stands (UPLOAD_MANIFEST); known to it as long as the connection lasts.
 *
 * Errors: PG_SERVER_ERROR when the server refuses, or is older than 17; PG_CONNECTION_CLOSED.
 * Source: PostgreSQL manual, "Streaming Replication Protocol", UPLOAD_MANIFEST; "Backup Manifest Format".
 */
export async function uploadManifest(connection: PostgresConnection, base: IncrementBase): Promise<void> {
  await connection.execute('UPLOAD_MANIFEST', {
    onCopyIn: async (writer) => {
      // Without checksums: the server asks for none.
      for (const part of formatBackupManifest({ ...base, version: 2, walRanges: [base] })) {
        const waiting = writer.send(part);
        if (waiting !== undefined) await waiting;
      }
    },
  });
}
