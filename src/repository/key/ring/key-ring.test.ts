import assert from 'node:assert/strict';
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { randomKeys } from '../../../../test/support/memory-repository.ts';
import { isSignatureValid, KeyRing } from './key-ring.ts';

describe('a key ring', () => {
  it('derives the key of an object as the format states', () => {
    const keys = randomKeys();
    const { epochs, repositoryId } = keys.material();
    const objectId = randomBytes(32);
    const info = Buffer.concat([Buffer.from('holdfast object 1'), Buffer.of(3), repositoryId]);
    const expected = Buffer.from(hkdfSync('sha256', epochs[0]!.key, objectId, info, 32));
    assert.deepEqual(keys.objectKey('index', objectId, 1).export(), expected);
  });

  it('gives another key for another object, kind and epoch', () => {
    const { epochs, ...rest } = randomKeys().material();
    const keys = KeyRing.fromMaterial({ ...rest, epochs: [...epochs, { epoch: 2, key: randomBytes(32) }] });
    const [a, b] = [randomBytes(32), randomBytes(32)];
    const derived = [
      keys.objectKey('index', a, 1),
      keys.objectKey('index', b, 1),
      keys.objectKey('ledger', a, 1),
      keys.objectKey('index', a, 2),
    ];
    assert.equal(new Set(derived.map((key) => key.export().toString('hex'))).size, 4);
  });

  it('seals with the highest epoch, and says which it lacks', () => {
    const { epochs, ...rest } = randomKeys().material();
    const keys = KeyRing.fromMaterial({ ...rest, epochs: [{ epoch: 7, key: randomBytes(32) }, ...epochs] });
    assert.equal(keys.currentEpoch, 7);
    assert.throws(() => keys.objectKey('index', randomBytes(32), 3), { code: 'KEY_EPOCH_ABSENT', detail: /found 3/ });
  });

  it('identifies a chunk by a keyed hash of its bytes', () => {
    const keys = randomKeys();
    const raw = randomBytes(1000);
    assert.deepEqual(keys.identifyChunk(raw), createHmac('sha256', keys.material().chunkIdKey).update(raw).digest());
    assert.notDeepEqual(keys.identifyChunk(raw), randomKeys().identifyChunk(raw));
  });

  it('is the same in a worker thread that was given its material', async () => {
    const keys = randomKeys();
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(workerData.module).then(({ KeyRing }) => {
        const keys = KeyRing.fromMaterial(workerData.material);
        parentPort.postMessage([keys.identifyChunk(Buffer.from('x')), keys.objectKey('index', Buffer.alloc(32), 1).export(), keys.publicKey]);
      });`;
    const module = new URL('./key-ring.ts', import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { module, material: keys.material() } });
    const [answer] = (await once(worker, 'message')) as [Uint8Array[]];
    const expected = [
      keys.identifyChunk(Buffer.from('x')),
      keys.objectKey('index', Buffer.alloc(32), 1).export(),
      keys.publicKey,
    ];
    assert.deepEqual(
      answer.map((bytes) => Buffer.from(bytes)),
      expected,
    );
    await worker.terminate();
  });

  it('hands out nothing but its own bytes', () => {
    for (const bytes of Object.values(randomKeys().material())) {
      if (bytes instanceof Uint8Array) assert.equal(bytes.buffer.byteLength, bytes.length);
    }
  });
});

describe('Ed25519 keys from seeds', () => {
  it('agree with the test vectors of RFC 8032', () => {
    const keys = KeyRing.fromMaterial({
      ...randomKeys().material(),
      signingSeed: Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex'),
    });
    assert.equal(keys.publicKey.toString('hex'), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    const expected =
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b';
    assert.equal(keys.sign(Buffer.alloc(0)).toString('hex'), expected);
    assert.equal(isSignatureValid(keys.publicKey, Buffer.alloc(0), Buffer.from(expected, 'hex')), true);
    assert.equal(isSignatureValid(keys.publicKey, Buffer.from('x'), Buffer.from(expected, 'hex')), false);
    assert.equal(isSignatureValid(keys.publicKey.subarray(1), Buffer.alloc(0), Buffer.from(expected, 'hex')), false);
  });
});
