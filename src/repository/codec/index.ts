/**
 * The bytes of sealed objects: header, frames, pieces, compression. Pure functions, no store and no clock.
 *
 * Nouns. *Envelope*: the 64 clear bytes at the start of an object and the frames after them. *Frame*: one AES-256-GCM ciphertext
 * with its tag. *Piece*: at most 1 MiB of a sealed body, in one frame. *Kind*: what an object is, one byte in its header.
 *
 * It knows where a key is asked for (`ObjectKeys`) but not where keys come from, and nothing of chunks beyond the role of
 * their frames. The format is stated in `docs/design.md` 4.
 */
export * from './body.ts';
export * from './compression.ts';
export * from './frame.ts';
export * from './header.ts';
export * from './kind.ts';
