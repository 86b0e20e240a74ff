import {
  type ChunkIndex,
  type Extent,
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  type FileMap,
  MAP_LEAF_BYTES,
  mapLength,
  type PatchedPage,
  patchMap,
  SLAB_BYTES,
} from '../../repository/index.ts';

/** Bytes of a file that are cut into one chunk when they are stored whole; slots begin at multiples of it. */
export const SLOT_BYTES = SLAB_BYTES;
export const SLOTS_PER_LEAF = MAP_LEAF_BYTES / SLOT_BYTES;

/**
 * A slot that points into so many chunks is not patched again: when it changes it is stored whole. Each patch adds a chunk or two, so a slot is
 * rewritten after about thirty of them, which adds four pages to the cost of each; and a restore opens at most one chunk for each 32 KiB of what
 * was read whole.
 */
export const SLOT_CHUNKS_MAX = 32;

const SLOT_PAGES = SLOT_BYTES / FINGERPRINT_PAGE_BYTES;
const NO_FINGERPRINT = Buffer.alloc(FINGERPRINT_BYTES);

/** What a slot is held against. */
export interface PreviousSlot {
  /** 8 bytes for each page of it that there was; a view. */
  readonly fingerprints: Buffer;
  /** Whether changed pages of it may be stored by themselves. */
  readonly patchable: boolean;
}

type SlotAnswer =
  | { form: 'chunk'; id: Buffer; length: number; fingerprints: Buffer | null }
  | { form: 'patched'; pages: readonly PatchedPage[] }
  | { form: 'unchanged' };

/**
 * Gathers the answers for up to 8 MiB of one file, one for each slot, in any order, and makes the map of them: over the map that an older backup
 * has of the same place, if there is one.
 */
export class LeafCollector {
  readonly #previous: FileMap | null;
  readonly #answers: (SlotAnswer | undefined)[] = [];
  readonly #complete: (leaf: LeafCollector) => void;
  #answered = 0;
  #length = 0;
  /** Null until the last slot of the leaf is known. */
  #slots: number | null = null;

  /** `complete` is called once, when all slots are answered. */
  constructor(previous: FileMap | null, complete: (leaf: LeafCollector) => void) {
    this.#previous = previous;
    this.#complete = complete;
  }

  /** Bytes of all slots, once `expect` was called. */
  get length(): number {
    return this.#length;
  }

  /** Says that the leaf ends with this slot, and how many bytes it has then. Called before that slot is answered. */
  expect(slots: number, length: number): void {
    this.#slots = slots;
    this.#length = length;
  }

  /**
   * What the older backup has of a slot; null when it has nothing there, or nothing to be counted on (rule A1: a chunk that is damaged, about to
   * go or not known is never kept), or when that is in too many pieces already.
   */
  previousSlot(slot: number, index: ChunkIndex): PreviousSlot | null {
    const fingerprints = this.#previous?.fingerprints;
    if (this.#previous === null || fingerprints === null || fingerprints === undefined) return null;
    const first = slot * SLOT_PAGES * FINGERPRINT_BYTES;
    const own = fingerprints.subarray(first, first + SLOT_PAGES * FINGERPRINT_BYTES);
    if (own.length === 0) return null;
    const chunks = chunksOf(this.#previous, slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
    if (chunks.length > SLOT_CHUNKS_MAX || !chunks.every((id) => index.knows(id))) return null;
    return { fingerprints: own, patchable: chunks.length < SLOT_CHUNKS_MAX };
  }

  setChunk(slot: number, chunk: { id: Buffer; length: number; fingerprints: Buffer | null }): void {
    this.#answer(slot, { form: 'chunk', ...chunk });
  }

  /** `pages`: those that changed, by their numbers in the slot, in order. */
  setPatched(slot: number, pages: readonly PatchedPage[]): void {
    const first = slot * SLOT_PAGES;
    this.#answer(slot, { form: 'patched', pages: pages.map((one) => ({ ...one, page: first + one.page })) });
  }

  setUnchanged(slot: number): void {
    this.#answer(slot, { form: 'unchanged' });
  }

  /** Whether the older backup's map says all of it. */
  get isUnchanged(): boolean {
    const { length } = this;
    return (
      this.#previous !== null &&
      mapLength(this.#previous) === length &&
      this.#answers.every((answer) => answer?.form === 'unchanged')
    );
  }

  /** Once it is complete. What of it comes from the older backup is noted in the index as counted on. */
  toMap(index: ChunkIndex): FileMap {
    const chunks = this.#answers.filter((answer) => answer?.form === 'chunk');
    if (chunks.length === this.#answers.length) return joinChunks(chunks);
    const map = this.isUnchanged ? this.#previous! : this.#patch();
    for (const id of chunksOf(map, 0, this.#length)) index.has(id);
    return map;
  }

  #patch(): FileMap {
    const pages = this.#answers.flatMap((answer, slot) => changedPagesOf(answer!, slot));
    const length = this.#length;
    // Each page behind the end of the older map was answered as changed, so none is filled with zeros.
    return patchMap(this.#previous, { length, keptLength: length, pages, zeroFingerprint: NO_FINGERPRINT });
  }

  #answer(slot: number, answer: SlotAnswer): void {
    this.#answers[slot] = answer;
    this.#answered += 1;
    if (this.#answered === this.#slots) this.#complete(this);
  }
}

function joinChunks(chunks: readonly (SlotAnswer & { form: 'chunk' })[]): FileMap {
  const extents: Extent[] = chunks.map(({ id, length }) => ({ form: 'chunk', id, offset: 0, length }));
  const fingerprints = chunks.map((chunk) => chunk.fingerprints);
  const isPaged = fingerprints.every((known) => known !== null);
  return { extents, fingerprints: isPaged ? Buffer.concat(fingerprints as Buffer[]) : null };
}

/** A chunk that is a whole slot stands beside slots that were compared only where all are pages. */
function changedPagesOf(answer: SlotAnswer, slot: number): readonly PatchedPage[] {
  if (answer.form === 'unchanged') return [];
  if (answer.form === 'patched') return answer.pages;
  const { id, length, fingerprints } = answer;
  return Array.from({ length: length / FINGERPRINT_PAGE_BYTES }, (_, page) => ({
    page: slot * SLOT_PAGES + page,
    id,
    offset: page * FINGERPRINT_PAGE_BYTES,
    fingerprint: fingerprints!.subarray(page * FINGERPRINT_BYTES, (page + 1) * FINGERPRINT_BYTES),
  }));
}

/** The chunks in which bytes `from` to `to` of a map lie, each once. */
function chunksOf(map: FileMap, from: number, to: number): Buffer[] {
  const chunks = new Map<string, Buffer>();
  let at = 0;
  for (const extent of map.extents) {
    if (at >= to) break;
    const end = at + extent.length;
    if (end > from && extent.form === 'chunk') chunks.set(extent.id.toString('latin1'), extent.id);
    at = end;
  }
  return [...chunks.values()];
}
