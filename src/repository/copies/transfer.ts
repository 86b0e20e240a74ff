import { open, rm } from 'node:fs/promises';
import { HEADER_BYTES } from '../codec/index.ts';
import { isAbsent, newSpoolPath, type ObjectStore, type PutOutcome, storeErrorOf } from '../object-store/index.ts';

/** Objects up to this size go through memory, larger ones through a spool file in parts of it. */
const PART_BYTES = 4 << 20;

/** Objects up to this size are compared whole where they lie; larger ones by their size and their header, which has their id. */
const WHOLE_BYTES_MAX = 64 << 10;

/**
 * What became of one object on its way into a place.
 *
 * `copied`: it is there now. `there`: it was. `gone`: the source has it no more. `differs`: other bytes have its name there, and were left alone.
 */
export type TransferOutcome = 'copied' | 'there' | 'gone' | 'differs';

export interface Transfer {
  readonly outcome: TransferOutcome;
  /** Sent to the place. */
  readonly bytes: number;
}

export interface TransferOptions {
  readonly name: string;
  readonly from: ObjectStore;
  readonly to: ObjectStore;
  /** The whole object, when it is at hand. */
  readonly bytes?: Buffer | null;
  /** Put also what is there already: a store that says `exists` makes sure that it is durable, which `stat` does not. */
  readonly isPutAlways?: boolean;
  /** Waits until so many more bytes may be sent. */
  readonly pace?: (bytes: number) => Promise<void>;
}

/**
 * Puts an object into another place, once, and verifies it where it lies.
 *
 * Memory: 4 MiB. Safe to repeat. Errors: those of both stores.
 */
export async function transferObject(options: TransferOptions): Promise<Transfer> {
  const { name, from, to, bytes = null, isPutAlways = false } = options;
  if (bytes !== null) return sendBytes(options, bytes);
  const stat = await from.stat(name);
  if (stat === null) return { outcome: 'gone', bytes: 0 };
  // What is there already need not be fetched.
  if (!isPutAlways && (await to.stat(name)) !== null)
    return { outcome: await judge(options, stat.size, 'exists'), bytes: 0 };
  try {
    return stat.size <= PART_BYTES
      ? await sendBytes(options, await from.get(name))
      : await sendFile(options, stat.size);
  } catch (error) {
    if (isAbsent(error) && (await from.stat(name)) === null) return { outcome: 'gone', bytes: 0 };
    throw error;
  }
}

/**
 * Whether a place has an object as another place has it: by its size and its header, which has its id; small ones by all of their bytes. What was
 * brought there was verified whole when it came. `false` also where either lacks it. Errors: those of both stores.
 */
export async function isHeldAlike(options: Pick<TransferOptions, 'name' | 'from' | 'to'>): Promise<boolean> {
  const stat = await options.from.stat(options.name);
  return stat !== null && (await judge(options, stat.size, 'exists')) === 'there';
}

async function sendBytes(options: TransferOptions, bytes: Buffer): Promise<Transfer> {
  await options.pace?.(bytes.length);
  const put = await options.to.putIfAbsent(options.name, bytes);
  const held = await readHeld(options.to, options.name, bytes.length);
  const isSame = held?.equals(bytes.subarray(0, held.length)) === true;
  return { outcome: isSame ? outcomeOf(put) : 'differs', bytes: put === 'created' ? bytes.length : 0 };
}

async function sendFile(options: TransferOptions, size: number): Promise<Transfer> {
  const { name, from, to, pace } = options;
  const path = newSpoolPath(await to.spoolDirectory());
  try {
    await using file = await open(path, 'wx');
    for (let at = 0; at < size; at += PART_BYTES) {
      const length = Math.min(PART_BYTES, size - at);
      await pace?.(length);
      await file.writeFile(await from.getRange(name, at, length));
    }
  } catch (error) {
    await rm(path, { force: true });
    throw storeErrorOf(error, `copy object "${name}"`);
  }
  const put = await to.putFileIfAbsent(name, path);
  return { outcome: await judge(options, size, put), bytes: put === 'created' ? size : 0 };
}

async function judge(
  { name, from, to }: Pick<TransferOptions, 'name' | 'from' | 'to'>,
  size: number,
  put: PutOutcome,
): Promise<TransferOutcome> {
  const held = await readHeld(to, name, size);
  if (held === null) return 'differs';
  const expected = held.length === 0 ? held : await from.getRange(name, 0, held.length);
  return held.equals(expected) ? outcomeOf(put) : 'differs';
}

/** As much of what lies in a place as is compared; `null` when it has another size. */
async function readHeld(to: ObjectStore, name: string, size: number): Promise<Buffer | null> {
  if ((await to.stat(name))?.size !== size) return null;
  const length = size <= WHOLE_BYTES_MAX ? size : HEADER_BYTES;
  return length === 0 ? Buffer.alloc(0) : to.getRange(name, 0, length);
}

function outcomeOf(put: PutOutcome): TransferOutcome {
  return put === 'created' ? 'copied' : 'there';
}
