/**
 * Reading tar archives in ustar form as they stream by.
 *
 * Nouns: an *entry* is a file, directory or link of the archive; a *block* is 512 bytes, the unit in which tar is laid out.
 * It writes nothing to a disk and makes no archives.
 */
export { TAR_BLOCK_BYTES, type TarEntry, type TarEntryType } from './header.ts';
export { TarReader, type TarSink } from './reader.ts';
