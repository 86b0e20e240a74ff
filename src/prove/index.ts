/** Proof that what is kept can be used: `scrub/` reads it again, `heal/` mends what can be mended of it. */
export * from './heal/index.ts';
export * from './scrub/index.ts';
