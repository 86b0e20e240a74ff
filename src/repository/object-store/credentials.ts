import type { Secret } from '../../lib/index.ts';

/**
 * By what a store lets us in. Absent: whatever the driver finds by itself (environment, shared files, web identity, instance metadata).
 *
 * `access-key` and `profile` (of the shared files of AWS) are for S3, `account-key` and `sas` (a token without its "?") for Azure.
 */
export type StoreCredentials =
  | { kind: 'access-key'; accessKeyId: string; secretAccessKey: Secret; sessionToken?: Secret }
  | { kind: 'profile'; profile: string }
  | { kind: 'account-key'; key: Secret }
  | { kind: 'sas'; token: Secret };
