/**
 * The thread that seals bodies and holds what was stored of them against them. It does one thing at a time, synchronously, and knows no store: it
 * writes into the spool, and is handed what was read.
 */
import { closeSync, openSync, rmSync, writevSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, endWhenAsked, giveBack } from '../../lib/index.ts';
import { BodyOpener, BodySealer, type ObjectKeys, PIECE_BYTES_MAX } from '../codec/index.ts';
import type { BodyAnswer, BodyRequest, BodyTask, BodyThreadData } from './body-messages.ts';

const port = parentPort!;
const window = bufferOf((workerData as BodyThreadData).window);

/** A comparison that goes on; one at a time is under way. */
let comparison: { readonly opener: BodyOpener; readonly body: Buffer; at: number; isEqual: boolean } | null = null;

endWhenAsked(port);
port.on('message', (request: BodyRequest) => {
  let outcome: BodyAnswer['outcome'];
  try {
    outcome = carryOut(request);
  } catch {
    // Whoever asked does it again without a thread, and hears the reason then.
    outcome = 'failed';
  }
  port.postMessage({ id: request.id, outcome } satisfies BodyAnswer);
});

function carryOut(request: BodyRequest): BodyAnswer['outcome'] {
  if (request.ask === 'seal') return { size: sealInto(request.path, request.task) };
  if (request.ask === 'compare') {
    const { task } = request;
    comparison = { opener: new BodyOpener(keysOf(task), task), body: bufferOf(task.body), at: 0, isEqual: true };
    return { isEqual: true };
  }
  return { isEqual: goOn(window.subarray(0, request.length), request.isLast) };
}

/** Writes the sealed body into a new file. Leaves none behind when that fails. */
function sealInto(path: string, task: BodyTask): number {
  const sealer = new BodySealer(keysOf(task), task, task.objectId);
  const body = bufferOf(task.body);
  const file = openSync(path, 'wx');
  try {
    let size = writeAll(file, [sealer.header]);
    let at = 0;
    do {
      const end = Math.min(at + PIECE_BYTES_MAX, body.length);
      size += writeAll(file, sealer.seal(body.subarray(at, end), end === body.length));
      at = end;
    } while (at < body.length);
    return size;
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function goOn(stored: Buffer, isLast: boolean): boolean {
  assert(comparison !== null, 'a comparison was begun');
  const { opener, body } = comparison;
  const compare = (piece: Buffer) => {
    comparison!.isEqual &&= body.subarray(comparison!.at, comparison!.at + piece.length).equals(piece);
    comparison!.at += piece.length;
    giveBack(piece);
  };
  // What the opener has not come to yet, it keeps; the window is filled again meanwhile.
  for (const piece of opener.push(isLast ? stored : Buffer.from(stored))) compare(piece);
  if (!isLast) return comparison.isEqual;
  compare(opener.finish());
  const isWhole = comparison.isEqual && comparison.at === body.length;
  comparison = null;
  return isWhole;
}

/** A ring with the one key that the task brings; another object than that one is not opened. */
function keysOf({ repositoryId, epoch, objectId, key }: BodyTask): ObjectKeys {
  return {
    repositoryId,
    currentEpoch: epoch,
    objectKey(_kind, ofObject, ofEpoch) {
      assert(bufferOf(objectId).equals(ofObject) && ofEpoch === epoch, 'the object is the one that was sealed');
      return key;
    },
  };
}

/** The system may take fewer bytes than it is given at once. */
function writeAll(file: number, parts: readonly Buffer[]): number {
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  let written = writevSync(file, parts);
  while (written < size) {
    const rest = Buffer.concat(parts).subarray(written);
    written += writevSync(file, [rest]);
  }
  for (const part of parts) giveBack(part);
  return size;
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
