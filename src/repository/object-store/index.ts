export * from './spool-file.ts';
export * from './store.ts';
export * from './system-error.ts';
