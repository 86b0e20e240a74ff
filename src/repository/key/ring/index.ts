/**
 * An opened key bundle, ready for use, without any of the ways to open one.
 *
 * It stands apart so that worker threads load little: they are given the material and make a ring of it.
 */
export * from './key-ring.ts';
