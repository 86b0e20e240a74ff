/**
 * Objects in a bucket of Amazon S3 or of a server that speaks its language.
 *
 * Nouns. *Location*: an address `s3://bucket/prefix?…`. *Connection*: single requests, with the server's answers in the store's codes.
 * *Version*: one of several objects under a name, of which the oldest counts; *delete marker*: a version without bytes.
 *
 * It repeats nothing that failed (the store around it does), makes no buckets and sets none up. What servers must have is in
 * `docs/object-stores.md`.
 */
export * from './location.ts';
export * from './store.ts';
