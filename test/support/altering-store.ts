import type { ObjectStore } from '../../src/repository/index.ts';
import { storeWith } from './store-with.ts';

/** What a reading gives instead; `reading` counts the readings of that object from 1. Whoever throws makes the reading fail. */
export type Alteration = (name: string, bytes: Buffer, reading: number) => Buffer;

/**
 * A store in front of a real one whose readings a test can alter, as a device would that fails at times. Nothing that is stored changes. `altered`
 * counts the readings that gave something else than what is stored.
 */
export function alteringStore(store: ObjectStore, alter: Alteration): ObjectStore & { readonly altered: number } {
  const readings = new Map<string, number>();
  const pass = (name: string, bytes: Buffer): Buffer => {
    const reading = (readings.get(name) ?? 0) + 1;
    readings.set(name, reading);
    const given = alter(name, Buffer.from(bytes), reading);
    if (!given.equals(bytes)) others.altered += 1;
    return given;
  };
  const others = {
    altered: 0,
    get: async (name: string) => pass(name, await store.get(name)),
    getRange: async (name: string, offset: number, length: number) =>
      pass(name, await store.getRange(name, offset, length)),
  };
  return storeWith(store, others);
}
