/**
 * WAL that comes as files: what the archiver hands over, and what is found on the disk of a server that is dead.
 *
 * Nouns: a *segment file* is one that its first page proves to be the segment of its name; its *valid part* ends behind its last whole record; the
 * *ingest* holds each file against the lineages of its cluster and stores it in the one to which it belongs, or begins one.
 * It looks for no files by itself and talks to no server. `docs/wal-push.md` tells the rules.
 */
export { describeHistory, type HistoryFile } from './match-history.ts';
export {
  describeSegment,
  describeSegmentBytes,
  foreignFile,
  hashOf,
  openSegmentFile,
  type SegmentFile,
  unreadable,
} from './segment-file.ts';
export { findValidEnd, type ValidPart } from './valid-end.ts';
export { type KeptFile, WalIngest, type WalIngestOptions } from './wal-ingest.ts';
