const PAGE_BYTES = 8192;
const MAGIC = 0xd3ae1f0d;

/** A file as a server sends it in an increment: blocks by their numbers, and their pages. */
export function encodeIncrementFile(
  blocks: readonly number[],
  truncationLength: number,
  pages: readonly Uint8Array[],
  magic = MAGIC,
): Buffer {
  const words = [magic, blocks.length, truncationLength, ...blocks];
  const head = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) head.writeUInt32LE(word, i * 4);
  const padding = blocks.length === 0 ? 0 : (PAGE_BYTES - (head.length % PAGE_BYTES)) % PAGE_BYTES;
  return Buffer.concat([head, Buffer.alloc(padding), ...pages]);
}
