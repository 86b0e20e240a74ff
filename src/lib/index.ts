/**
 * What every layer may use and that knows no word of the domain: errors, assertions, time, bytes, units, limits.
 */
export * from './ahead.ts';
export * from './assert.ts';
export * from './bytes.ts';
export * from './clock.ts';
export * from './copy-bytes.ts';
export * from './errors.ts';
export * from './garbage.ts';
export * from './growth.ts';
export * from './lanes.ts';
export * from './process-mark.ts';
export * from './progress.ts';
export * from './secret.ts';
export * from './tar/index.ts';
export * from './threads.ts';
export * from './units.ts';
export * from './varint.ts';
