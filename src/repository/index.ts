export * from './codec/index.ts';
export * from './key/index.ts';
export * from './object-store/index.ts';
export * from './pack/index.ts';
