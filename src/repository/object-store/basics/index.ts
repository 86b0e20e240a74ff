/**
 * What stores have in common, and all that a worker thread needs of them, without the code of any: the names of spool files, and the errors that say
 * what a store or the system answered. It knows no store.
 */
export * from './object-error.ts';
export * from './spool-file.ts';
export * from './system-error.ts';
