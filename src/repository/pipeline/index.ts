/**
 * The two hot paths of the repository: bytes in (`IngestPipeline`) and bytes out (`ExtractPipeline`), on worker threads.
 *
 * Nouns: *slab*, one mebibyte of shared memory that travels between the main thread and a worker; *piece*, the part of a slab that
 * becomes one chunk; *depot*, what brings finished packs into the store and then indexes them; *run*, neighbouring frames of a pack that
 * are read with one request. It knows nothing of files' meaning, of PostgreSQL, or of snapshots.
 */
export { ChunkPacker } from './chunk-packer.ts';
export type { Destination } from './extract-messages.ts';
export { ExtractPipeline, type LostChunk } from './extract-pipeline.ts';
export {
  type ChangedPiece,
  type ComparedAnswer,
  IngestPipeline,
  type IngestResult,
  type IngestSlab,
  type PieceHashed,
  type SlabRequest,
  type ThreadStart,
} from './ingest-pipeline.ts';
export { PackDepot } from './pack-depot.ts';
export { SLAB_BYTES, SLAB_PIECES_MAX } from './slab.ts';
