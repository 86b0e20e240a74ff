/**
 * One data page of PostgreSQL, 8 KiB, by its bytes alone.
 *
 * Nouns: *header*, what a page says of itself; *checksum*, what is stored in it over all its other bytes and its place in the relation; *new page*, one that
 * was added to a file and never used. It knows nothing of files, relations or WAL, and reads nothing.
 */
export { maskLostRanges, maskPage, maskSequence, type PageKind, pageKindOf } from './mask-page.ts';
export * from './page.ts';
export * from './page-checker.ts';
