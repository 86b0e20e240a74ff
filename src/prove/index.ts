/** Proof that what is kept can be used: `scrub/` reads it again, `cross-check/` holds two backups against each other, `heal/` mends what can be mended of it, `locks/` asks for locks,
 * `attack/` tries what a thief would. */
export * from './attack/index.ts';
export * from './cross-check/index.ts';
export * from './heal/index.ts';
export * from './locks/index.ts';
export * from './scrub/index.ts';
