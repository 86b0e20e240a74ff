/**
 * The worker of the ingest pipeline: hashes slabs, and compresses, seals and packs the chunks that are new.
 *
 * It does everything synchronously, one slab at a time, so that one worker keeps one core busy and holds one pack open. It learns from
 * the main thread which chunks are known: while it waits for that answer it hashes the next slab.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { GarbageGauge } from '../../lib/index.ts';
import { compress } from '../codec/index.ts';
import { PageFingerprinter } from '../fingerprint/index.ts';
import { KeyRing } from '../key/ring/index.ts';
import { newSpoolPath } from '../object-store/index.ts';
import { PackWriter } from '../pack/index.ts';
import { INGEST_GARBAGE, NATIVE_BYTES_PER_CHUNK, NATIVE_GARBAGE } from './garbage.ts';
import type { IngestRequest, IngestResponse, IngestWorkerData } from './ingest-messages.ts';
import { FINGERPRINT_KEY_AT, SlabView } from './slab.ts';

const data = workerData as IngestWorkerData;
const port = parentPort!;
const keys = KeyRing.fromMaterial(data.keys);
const fingerprinter = new PageFingerprinter({
  memory: data.memory,
  keyAt: FINGERPRINT_KEY_AT,
  fingerprintKey: keys.fingerprintKey,
});
const slabs = Array.from({ length: data.slabs }, (_, number) => new SlabView(data.memory, number));
const garbage = new GarbageGauge(INGEST_GARBAGE);
const natives = new GarbageGauge(NATIVE_GARBAGE);
let pack: PackWriter | null = null;

function say(response: IngestResponse): void {
  port.postMessage(response);
}

function hashSlab(slab: SlabView): void {
  for (let piece = 0; piece < slab.count; piece++) {
    slab.pieceId(piece).set(keys.identifyChunk(slab.pieceBytes(piece)));
    if (slab.isFingerprinted(piece)) fingerprintPiece(slab, piece);
  }
  say({ kind: 'hashed', slab: slab.number });
}

function fingerprintPiece(slab: SlabView, piece: number): void {
  const pagesAt = slab.bytesAt + slab.pieceOffset(piece);
  const fingerprints = slab.pieceFingerprints(piece);
  fingerprinter.fingerprint(pagesAt, fingerprints.length / 8, fingerprints.byteOffset);
}

function storeSlab(slab: SlabView): void {
  let newChunks = 0;
  let newBytes = 0;
  for (let piece = 0; piece < slab.count; piece++) {
    if (!slab.isNeeded(piece)) continue;
    const raw = slab.pieceBytes(piece);
    currentPack().append(slab.pieceId(piece), raw, compress(raw, data.level));
    newChunks += 1;
    newBytes += raw.length;
    garbage.add(2 * raw.length);
    natives.add(NATIVE_BYTES_PER_CHUNK);
    if (pack!.isFull) finishPack();
  }
  say({ kind: 'stored', slab: slab.number, newChunks, newBytes });
}

function currentPack(): PackWriter {
  pack ??= new PackWriter({ keys, content: 'data', spoolPath: newSpoolPath(data.spoolDirectory) });
  return pack;
}

function finishPack(): void {
  if (pack === null) return;
  const finished = pack.finish();
  pack = null;
  say({ kind: 'packed', pack: finished });
}

port.on('message', (request: IngestRequest) => {
  if (request.kind === 'finish') {
    finishPack();
    say({ kind: 'finished' });
    port.close();
    return;
  }
  const slab = slabs[request.slab]!;
  slab.reset(request.pieces);
  if (request.kind === 'hash') hashSlab(slab);
  else storeSlab(slab);
});
