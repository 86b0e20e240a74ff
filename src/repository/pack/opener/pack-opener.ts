import { giveBack, HoldfastError } from '../../../lib/index.ts';
import { decompress, encodeHeader, FrameSealer, HEADER_BYTES, TAG_BYTES } from '../../codec/index.ts';
import type { KeyRing } from '../../key/index.ts';
import { decodeDirectory, listPackEntries, type PackContent, packKind, packName } from './pack-directory.ts';

/** Where a chunk's frame lies in its pack, and whose chunk it is. */
export interface ChunkFrame {
  id: Uint8Array;
  offset: number;
  rawLength: number;
}

/**
 * Opens frames of one pack. The object key is derived once; keep an opener for as long as frames of its pack come.
 *
 * Synchronous and free of shared state, for use in a worker thread; one opener serves one caller at a time.
 * Errors of the constructor: `KEY_EPOCH_ABSENT`.
 */
export class PackOpener {
  readonly name: string;
  readonly #content: PackContent;
  readonly #frames: FrameSealer;

  constructor(options: { keys: KeyRing; packId: Uint8Array; content: PackContent; epoch: number }) {
    const { keys, packId, content, epoch } = options;
    this.name = packName(packId);
    this.#content = content;
    const kind = packKind(content);
    const header = encodeHeader({ kind, epoch, objectId: packId, repositoryId: keys.repositoryId });
    this.#frames = new FrameSealer(keys.objectKey(kind, packId, epoch), header);
  }

  /**
   * The raw bytes of a chunk from its frame. Its identity is authenticated with the frame and need not be computed again.
   *
   * Errors: `CHUNK_DAMAGED` naming the pack.
   */
  openChunkFrame(chunk: ChunkFrame, frame: Uint8Array): Buffer {
    const place = { offset: chunk.offset, role: 'chunk', context: chunk.id } as const;
    const opened = this.#frames.open(place, frame);
    if (opened === null) {
      throw this.#damagedChunk(chunk, `The frame of ${frame.length} bytes at offset ${chunk.offset} is not authentic.`);
    }
    const isCompressed = frame.length - TAG_BYTES < chunk.rawLength;
    const raw = isCompressed ? decompress(opened, chunk.rawLength) : opened;
    if (isCompressed) giveBack(opened);
    if (raw === null || raw.length !== chunk.rawLength) {
      throw this.#damagedChunk(
        chunk,
        `The frame at offset ${chunk.offset} is authentic but does not hold ${chunk.rawLength} bytes.`,
      );
    }
    return raw;
  }

  /**
   * The entries of the pack from its directory frame, 40 bytes each; `null` when the frame is not authentic at this offset,
   * or its lengths do not lead from the header to exactly there.
   */
  openDirectory(offset: number, frame: Uint8Array): Buffer | null {
    const context = Buffer.from(this.name, 'utf8');
    const plain = this.#frames.open({ offset, role: 'pack-directory', context }, frame);
    const entries = plain === null ? null : decodeDirectory(plain, this.#content);
    if (entries === null) return null;
    let end = HEADER_BYTES;
    for (const entry of listPackEntries(entries, HEADER_BYTES)) end = entry.offset + entry.frameLength;
    return end === offset ? entries : null;
  }

  #damagedChunk(chunk: ChunkFrame, detail: string): HoldfastError {
    const id = Buffer.from(chunk.id).toString('hex').slice(0, 16);
    return new HoldfastError('CHUNK_DAMAGED', `cannot read chunk ${id} in pack "${this.name}": it is damaged`, {
      detail,
      hints: ['Run `holdfast verify` to see what else is damaged and which snapshots need it.'],
    });
  }
}
