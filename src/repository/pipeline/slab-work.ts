import { GarbageGauge, giveBack } from '../../lib/index.ts';
import { compressForNow } from '../codec/index.ts';
import { PageFingerprinter } from '../fingerprint/index.ts';
import type { KeyRing } from '../key/ring/index.ts';
import { newSpoolPath } from '../object-store/basics/index.ts';
import { PackWriter } from '../pack/index.ts';
import { NATIVE_BYTES_PER_CHUNK, NATIVE_GARBAGE } from './garbage.ts';
import type { IngestRequest, IngestResponse } from './ingest-messages.ts';
import { FINGERPRINT_KEY_AT, SlabView } from './slab.ts';

/** With what slabs are worked on. */
export interface SlabWorkParts {
  readonly memory: WebAssembly.Memory;
  /** How many slabs the memory has. */
  readonly slabs: number;
  readonly keys: KeyRing;
  /** zstd's. */
  readonly level: number;
  /** Where a pack grows. */
  readonly spoolDirectory: string;
  /** Takes the answers. */
  readonly say: (response: IngestResponse) => void;
}

/**
 * Fingerprints, compares and hashes slabs, and compresses, seals and packs the chunks that are new: one slab at a time, synchronously, with one pack
 * open. In a worker thread, or in the main thread as long as there is too little to do for one.
 */
export class SlabWork {
  readonly #parts: SlabWorkParts;
  readonly #fingerprinter: PageFingerprinter;
  readonly #slabs: SlabView[];
  readonly #natives = new GarbageGauge(NATIVE_GARBAGE);
  #pack: PackWriter | null = null;

  constructor(parts: SlabWorkParts) {
    const { memory, keys } = parts;
    this.#parts = parts;
    this.#fingerprinter = new PageFingerprinter({
      memory,
      keyAt: FINGERPRINT_KEY_AT,
      fingerprintKey: keys.fingerprintKey,
    });
    this.#slabs = Array.from({ length: parts.slabs }, (_, number) => new SlabView(memory, number));
  }

  /** Does what is asked, and says so. After `finish` nothing more may be asked. */
  answer(request: IngestRequest): void {
    if (request.kind === 'finish') {
      this.#finishPack();
      this.#parts.say({ kind: 'finished' });
      return;
    }
    const slab = this.#slabs[request.slab]!;
    slab.reset(request.pieces);
    if (request.kind === 'examine') this.#examine(slab);
    else this.#store(slab);
  }

  /** Throws away the unfinished pack. Safe to repeat. */
  abandon(): void {
    this.#pack?.abandon();
    this.#pack = null;
  }

  /** Fingerprints come first: a piece whose pages are those of the older version needs no hash at all. */
  #examine(slab: SlabView): void {
    for (let piece = 0; piece < slab.count; piece++) {
      if (slab.isFingerprinted(piece)) this.#fingerprint(slab, piece);
      const outcome = slab.isCompared(piece) ? slab.compare(piece) : 'hashed';
      slab.setOutcome(piece, outcome);
      if (outcome === 'hashed') slab.pieceId(piece).set(this.#parts.keys.identifyChunk(slab.pieceBytes(piece)));
    }
    this.#parts.say({ kind: 'examined', slab: slab.number });
  }

  #fingerprint(slab: SlabView, piece: number): void {
    const pagesAt = slab.bytesAt + slab.pieceOffset(piece);
    const fingerprints = slab.pieceFingerprints(piece);
    this.#fingerprinter.fingerprint(pagesAt, fingerprints.length / 8, fingerprints.byteOffset);
  }

  #store(slab: SlabView): void {
    let newChunks = 0;
    let newBytes = 0;
    for (let piece = 0; piece < slab.count; piece++) {
      if (!slab.isNeeded(piece)) continue;
      const raw = slab.pieceBytes(piece);
      const compressed = compressForNow(raw, this.#parts.level);
      const pack = this.#openPack();
      pack.append(slab.pieceId(piece), raw, compressed);
      if (compressed !== null) giveBack(compressed);
      newChunks += 1;
      newBytes += raw.length;
      this.#natives.add(NATIVE_BYTES_PER_CHUNK);
      if (pack.isFull) this.#finishPack();
    }
    this.#parts.say({ kind: 'stored', slab: slab.number, newChunks, newBytes });
  }

  #openPack(): PackWriter {
    const { keys, spoolDirectory } = this.#parts;
    this.#pack ??= new PackWriter({ keys, content: 'data', spoolPath: newSpoolPath(spoolDirectory) });
    return this.#pack;
  }

  #finishPack(): void {
    if (this.#pack === null) return;
    const finished = this.#pack.finish();
    this.#pack = null;
    this.#parts.say({ kind: 'packed', pack: finished });
  }
}
