import { HoldfastError } from '../../lib/index.ts';
import type { ChunkIndex, FetchChunk, Repository } from '../../repository/index.ts';
import { readCarefully } from './read-carefully.ts';

/** Reads nodes and map leaves, again if need be, before they are called lost. Errors: as `readChunk`; the signal's reason. */
export function treeFetcher(repository: Repository, index: ChunkIndex, signal: AbortSignal | undefined): FetchChunk {
  const reader = repository.openChunkReader(index);
  return async (id) => {
    signal?.throwIfAborted();
    try {
      return await reader.readChunk(id);
    } catch {
      // Whatever it was, the careful reading meets it again or shows that it has passed.
      const reading = await readCarefully(repository, () => reader.readChunk(id));
      if (reading.kind === 'read') return reading.value;
      // What the disk cannot read, with others readable, is as lost as what is not authentic.
      throw reading.error.code === 'STORE_FAILED' ? asDamage(reading.error) : reading.error;
    }
  };
}

export function isStoreDenied(error: HoldfastError): boolean {
  return error.code === 'STORE_DENIED';
}

function asDamage(error: HoldfastError): HoldfastError {
  return new HoldfastError('CHUNK_DAMAGED', error.message, {
    ...(error.detail === undefined ? {} : { detail: error.detail }),
    cause: error,
  });
}
