/**
 * The worker of the extract pipeline: opens sealed chunks and writes them to their places in files.
 *
 * A chunk that fails authentication is reported and not written. Any other error (a full disk) ends the worker and with it the pipeline.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, codeOf, GarbageGauge, giveBack } from '../../lib/index.ts';
import { KeyRing } from '../key/ring/index.ts';
import { PackOpener } from '../pack/index.ts';
import type {
  Destination,
  ExtractFrame,
  ExtractRequest,
  ExtractResponse,
  ExtractWorkerData,
} from './extract-messages.ts';
import { EXTRACT_GARBAGE, NATIVE_BYTES_PER_CHUNK, NATIVE_GARBAGE } from './garbage.ts';

/** Files kept open by one worker; a batch touches few files at a time, as it is sorted by pack. */
const OPEN_FILES_MAX = 128;
/** Openers of packs kept, each with its derived key. */
const OPENERS_MAX = 64;

const keys = KeyRing.fromMaterial((workerData as ExtractWorkerData).keys);
const port = parentPort!;
const garbage = new GarbageGauge(EXTRACT_GARBAGE);
const natives = new GarbageGauge(NATIVE_GARBAGE);
const open = new Map<string, number>();
const openers = new Map<string, PackOpener>();

function descriptorOf(path: string): number {
  const known = open.get(path);
  if (known !== undefined) return known;
  if (open.size >= OPEN_FILES_MAX) {
    const [oldest, descriptor] = open.entries().next().value!;
    closeSync(descriptor);
    open.delete(oldest);
  }
  const descriptor = openSync(path, 'r+');
  open.set(path, descriptor);
  return descriptor;
}

function closeFiles(): void {
  for (const descriptor of open.values()) closeSync(descriptor);
  open.clear();
}

function place(raw: Buffer, { path, fileOffset, chunkOffset, length }: Destination): number {
  assert(chunkOffset + length <= raw.length, 'an extent lies inside its chunk');
  const descriptor = descriptorOf(path);
  let done = 0;
  while (done < length) done += writeSync(descriptor, raw, chunkOffset + done, length - done, fileOffset + done);
  return length;
}

function openerOf({ packId, content, epoch }: ExtractRequest & { kind: 'run' }): PackOpener {
  const name = Buffer.from(packId).toString('latin1');
  const known = openers.get(name);
  if (known !== undefined) return known;
  if (openers.size >= OPENERS_MAX) openers.clear();
  const opener = new PackOpener({ keys, packId, content, epoch });
  openers.set(name, opener);
  return opener;
}

function openFrame(request: ExtractRequest & { kind: 'run' }, frame: ExtractFrame): Buffer | null {
  const at = frame.packOffset - request.start;
  const sealed = request.bytes.subarray(at, at + frame.frameLength);
  try {
    return openerOf(request).openChunkFrame(
      { id: frame.id, offset: frame.packOffset, rawLength: frame.rawLength },
      sealed,
    );
  } catch (error) {
    if (codeOf(error) === 'CHUNK_DAMAGED') return null;
    throw error;
  }
}

function extract(request: ExtractRequest & { kind: 'run' }): void {
  const damaged: number[] = [];
  let bytes = 0;
  request.frames.forEach((frame, index) => {
    const raw = openFrame(request, frame);
    if (raw === null) damaged.push(index);
    else {
      for (const destination of frame.destinations) bytes += place(raw, destination);
      giveBack(raw);
    }
    garbage.add(frame.frameLength);
    natives.add(NATIVE_BYTES_PER_CHUNK);
  });
  giveBack(request.bytes);
  say({ kind: 'extracted', run: request.run, bytes, damaged });
}

function say(response: ExtractResponse): void {
  port.postMessage(response);
}

port.on('message', (request: ExtractRequest) => {
  switch (request.kind) {
    case 'close-files':
      closeFiles();
      say({ kind: 'closed' });
      port.close();
      return;
    case 'run':
      extract(request);
  }
});
