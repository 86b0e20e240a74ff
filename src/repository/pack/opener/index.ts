/**
 * Reading packs: where chunks lie in one and how their frames are opened.
 *
 * A folder of its own, as a worker that restores needs nothing of what writing packs and talking to stores brings with it, and is started with
 * every restore.
 */
export * from './pack-directory.ts';
export * from './pack-opener.ts';
