import { assert } from '../../lib/index.ts';
import { FINGERPRINT_BYTES, FINGERPRINT_PAGE_BYTES } from '../fingerprint/index.ts';
import { type Extent, type FileMap, MAP_LEAF_BYTES, mapLength } from './file-map.ts';

/** A page of a file that was stored anew: which one of its leaf, and where its 8 KiB lie in a chunk. */
export interface PatchedPage {
  /** Counted from the beginning of the map. */
  readonly page: number;
  readonly id: Buffer;
  readonly offset: number;
  /** 8 bytes. */
  readonly fingerprint: Buffer;
}

/** What becomes of a map. Lengths in bytes. */
export interface MapPatch {
  /** Of the new map; whole pages, at most `MAP_LEAF_BYTES`. */
  readonly length: number;
  /** Bytes before this come from the previous map where no page is given; all others are zero. */
  readonly keptLength: number;
  /** In the order of their numbers, each once. */
  readonly pages: readonly PatchedPage[];
  /** The fingerprint of a page of zeros, which depends on the repository's key. */
  readonly zeroFingerprint: Buffer;
}

/**
 * The map of a file, or of 8 MiB of it, after some of its pages were stored anew: every other byte is that of the previous map, or zero behind its
 * end and behind `keptLength`. Extents that go on in the same chunk are one.
 *
 * Fingerprints are there unless a page was kept whose fingerprint the previous map does not have.
 */
export function patchMap(previous: FileMap | null, patch: MapPatch): FileMap {
  const { length, pages } = patch;
  assert(length % FINGERPRINT_PAGE_BYTES === 0 && length <= MAP_LEAF_BYTES, 'a patched map is whole pages of one leaf');
  const kept = previous === null ? 0 : Math.max(0, Math.min(patch.keptLength, length, mapLength(previous)));
  const extents = new ExtentJoiner();
  const source = new ExtentReader(previous?.extents ?? []);
  let at = 0;
  for (const { page, id, offset } of pages) {
    const start = page * FINGERPRINT_PAGE_BYTES;
    assert(start >= at && start < length, 'pages are given in order, and lie inside the map');
    source.copy(at, Math.min(start, kept), extents);
    extents.addZeros(start - Math.max(at, kept));
    extents.addChunk(id, offset, FINGERPRINT_PAGE_BYTES);
    at = start + FINGERPRINT_PAGE_BYTES;
  }
  source.copy(at, kept, extents);
  extents.addZeros(length - Math.max(at, kept));
  return { extents: extents.list, fingerprints: patchFingerprints(previous, kept, patch) };
}

function patchFingerprints(previous: FileMap | null, kept: number, patch: MapPatch): Buffer | null {
  const { length, pages, zeroFingerprint } = patch;
  const fingerprints = Buffer.alloc((length / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES);
  const changed = new Set(pages.map(({ page }) => page));
  const known = previous?.fingerprints ?? Buffer.alloc(0);
  for (let page = 0; page * FINGERPRINT_PAGE_BYTES < length; page++) {
    if (changed.has(page)) continue;
    const at = page * FINGERPRINT_BYTES;
    const start = page * FINGERPRINT_PAGE_BYTES;
    if (start >= kept) zeroFingerprint.copy(fingerprints, at);
    // A page that is kept in part is one that the previous map has no fingerprint of.
    else if (start + FINGERPRINT_PAGE_BYTES > kept || at + FINGERPRINT_BYTES > known.length) return null;
    else known.copy(fingerprints, at, at, at + FINGERPRINT_BYTES);
  }
  for (const { page, fingerprint } of pages) fingerprint.copy(fingerprints, page * FINGERPRINT_BYTES);
  return fingerprints;
}

/** Gives stretches of a list of extents, which are asked for from its beginning to its end. */
class ExtentReader {
  readonly #extents: readonly Extent[];
  #next = 0;
  /** Where the extent `#next` begins. */
  #start = 0;

  constructor(extents: readonly Extent[]) {
    this.#extents = extents;
  }

  /** Nothing when `to` does not lie behind `from`. */
  copy(from: number, to: number, into: ExtentJoiner): void {
    for (let at = from; at < to; ) {
      const extent = this.#extents[this.#next]!;
      const end = this.#start + extent.length;
      if (end <= at) {
        this.#next += 1;
        this.#start = end;
        continue;
      }
      const length = Math.min(end, to) - at;
      if (extent.form === 'zero') into.addZeros(length);
      else into.addChunk(extent.id, extent.offset + at - this.#start, length);
      at += length;
    }
  }
}

/** Builds a list of extents in which none goes on where the one before it ends. */
class ExtentJoiner {
  readonly list: Extent[] = [];

  /** Nothing for a length of zero or less. */
  addZeros(length: number): void {
    if (length <= 0) return;
    const last = this.list.at(-1);
    if (last?.form === 'zero') last.length += length;
    else this.list.push({ form: 'zero', length });
  }

  addChunk(id: Buffer, offset: number, length: number): void {
    const last = this.list.at(-1);
    if (last?.form === 'chunk' && last.offset + last.length === offset && last.id.equals(id)) last.length += length;
    else this.list.push({ form: 'chunk', id, offset, length });
  }
}
