import { HoldfastError } from '../../lib/index.ts';
// Not through repository/index.ts: a worker would load all of the repository's code for these.
import type { KeyRing } from '../../repository/key/ring/index.ts';
import { listPackEntries, type PackEntry, PackOpener } from '../../repository/pack/index.ts';
import type { FrameRequest } from './frame-messages.ts';

/** The frames of a run that are not authentic, or not the chunk of their identity, by their place in it. */
export function findBadFrames(keys: KeyRing, request: Omit<FrameRequest, 'id'>): number[] {
  const { packId, content, epoch, offset, entries } = request;
  const stored = Buffer.from(request.stored.buffer, request.stored.byteOffset, request.stored.length);
  const opener = new PackOpener({ keys, packId: Buffer.from(packId), content, epoch });
  const bad: number[] = [];
  let i = 0;
  for (const entry of listPackEntries(entries, offset)) {
    const at = entry.offset - offset;
    if (whyBad(keys, opener, entry, stored.subarray(at, at + entry.frameLength)) !== null) bad.push(i);
    i += 1;
  }
  return bad;
}

/** Why a frame cannot be used; `null` for a sound one. */
export function whyBad(keys: KeyRing, opener: PackOpener, entry: PackEntry, frame: Buffer): HoldfastError | null {
  try {
    const raw = opener.openChunkFrame(entry, frame);
    // The cipher vouches for what was written; this says that what was written was the chunk that its identity names.
    if (keys.identifyChunk(raw).equals(entry.id)) return null;
    return new HoldfastError('CHUNK_DAMAGED', `cannot use a chunk of pack "${opener.name}"`, {
      detail: 'It is authentic but not the chunk of its identity.',
    });
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'CHUNK_DAMAGED') return error;
    throw error;
  }
}
