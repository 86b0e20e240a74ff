/**
 * Sealed bodies in a store: everything but packs goes through here, under a name, once.
 *
 * Nouns. *Sealed objects*: a store and the keys to it. *Record*: a sealed body that is JSON of a known shape. *Access*: what
 * one who opened a repository means to do, and may.
 *
 * It does not know what the records mean; each kind has its own folder.
 */
export { BodyThread, type ThreadPut } from './body-thread.ts';
export * from './record.ts';
export * from './sealed-objects.ts';
export { type BodyStream, getBodyStream, putBodyStream, type StreamPut } from './sealed-stream.ts';
