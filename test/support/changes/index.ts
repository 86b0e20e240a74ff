/**
 * A model of all that changes the files of a server, with backups in between, and judges of what is restored from them.
 *
 * Nouns: a *change* is one thing done to the server; a *point* is a moment at which nobody wrote, with all that there was, and the backup that ended
 * before it.
 */
export { judgeRestore } from './judge.ts';
export { replayTo, ServerChain } from './server-chain.ts';
export { type ChangedWorld, makeChangedWorld, markPoint, type Point, removeRestored } from './world.ts';
