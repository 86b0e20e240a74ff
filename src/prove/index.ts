/** Proof that what is kept can be used: `scrub/` reads it again. */
export * from './scrub/index.ts';
