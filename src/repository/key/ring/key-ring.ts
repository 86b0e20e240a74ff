import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { assert, HoldfastError } from '../../../lib/index.ts';
import { type EnvelopeKind, kindByte, type ObjectKeys } from '../../codec/index.ts';

/** Bytes of every symmetric key of a bundle, and of the seed of the signing key. */
export const KEY_BYTES = 32;

/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;

/** Everything in a key ring as plain bytes: what `postMessage` and `workerData` can carry. Secret. */
export interface KeyMaterial {
  repositoryId: Uint8Array;
  epochs: { epoch: number; key: Uint8Array }[];
  chunkIdKey: Uint8Array;
  fingerprintKey: Uint8Array;
  signingSeed: Uint8Array;
}

/** The opened keys of one repository. */
export class KeyRing implements ObjectKeys {
  readonly repositoryId: Buffer;
  /** 32 bytes. Keys the universal hash by which pages are compared. */
  readonly fingerprintKey: Buffer;
  /** 32 raw bytes of the Ed25519 key whose signatures this ring makes. */
  readonly publicKey: Buffer;
  #material: KeyMaterial;
  #epochs: ReadonlyMap<number, KeyObject>;
  #currentEpoch: number;
  readonly #chunkIdKey: KeyObject;
  readonly #signingKey: KeyObject;

  private constructor(material: KeyMaterial) {
    assert(material.epochs.length > 0, 'a key bundle has an epoch');
    this.#material = material;
    this.repositoryId = Buffer.from(material.repositoryId);
    this.#currentEpoch = newestOf(material);
    this.fingerprintKey = Buffer.from(material.fingerprintKey);
    this.#epochs = importEpochs(material);
    this.#chunkIdKey = createSecretKey(material.chunkIdKey);
    this.#signingKey = privateKeyOf(material.signingSeed);
    this.publicKey = rawPublicKeyOf(this.#signingKey);
  }

  /** Takes the material over as it is; whoever reads it from outside has checked its lengths (`decodeKeyBundle`). */
  static fromMaterial(material: KeyMaterial): KeyRing {
    return new KeyRing(material);
  }

  /** The epoch that seals what is written from now on. */
  get currentEpoch(): number {
    return this.#currentEpoch;
  }

  /**
   * Takes in the epochs that were begun since: whoever holds this ring seals with the newest from now on. Nothing else of a bundle ever changes;
   * what has begun to be sealed ends as it began.
   */
  adopt(material: KeyMaterial): void {
    assert(Buffer.from(material.signingSeed).equals(this.#material.signingSeed), 'the keys are of this repository');
    this.#material = { ...this.#material, epochs: material.epochs };
    this.#epochs = importEpochs(material);
    this.#currentEpoch = newestOf(material);
  }

  /** Bytes of its own, so that sending it to a worker carries nothing else along. Secret. */
  material(): KeyMaterial {
    const { repositoryId, epochs, chunkIdKey, fingerprintKey, signingSeed } = this.#material;
    return {
      repositoryId: Uint8Array.from(repositoryId),
      epochs: epochs.map(({ epoch, key }) => ({ epoch, key: Uint8Array.from(key) })),
      chunkIdKey: Uint8Array.from(chunkIdKey),
      fingerprintKey: Uint8Array.from(fingerprintKey),
      signingSeed: Uint8Array.from(signingSeed),
    };
  }

  /**
   * The key of one object: HKDF-SHA256 of the epoch's key, salted with the object id.
   *
   * As ids are random and used once, no two objects share a key and nonces may count from zero in each.
   * Errors: `KEY_EPOCH_ABSENT` when the ring does not hold the epoch.
   */
  objectKey(kind: EnvelopeKind, objectId: Uint8Array, epoch: number): KeyObject {
    const epochKey = this.#epochs.get(epoch);
    if (epochKey === undefined) {
      throw new HoldfastError('KEY_EPOCH_ABSENT', `cannot open an object of key epoch ${epoch}`, {
        detail: `Expected one of the epochs ${[...this.#epochs.keys()].join(', ')} that the key bundle holds, found ${epoch}.`,
        hints: [
          'Start again what has run since before the last `holdfast keys new-epoch`, so that it reads the newest keys.',
          'Use a key that was given the newest epoch; `holdfast keys list` says which were.',
          'Run `holdfast verify`: the object may be damaged.',
        ],
      });
    }
    const info = Buffer.concat([OBJECT_KEY_LABEL, Buffer.of(kindByte(kind)), this.repositoryId]);
    return createSecretKey(new Uint8Array(hkdfSync('sha256', epochKey, objectId, info, KEY_BYTES)));
  }

  /** The identity of a chunk: 32 bytes of HMAC-SHA256 over its raw bytes. */
  identifyChunk(raw: Uint8Array): Buffer {
    return createHmac('sha256', this.#chunkIdKey).update(raw).digest();
  }

  /** 64 bytes of Ed25519 signature. */
  sign(bytes: Uint8Array): Buffer {
    return sign(null, bytes, this.#signingKey);
  }
}

/** The raw public key, 32 bytes, of the signatures that are made from a seed. */
export function signingKeyOf(seed: Uint8Array): Buffer {
  return rawPublicKeyOf(privateKeyOf(seed));
}

/** Checks an Ed25519 signature against a raw public key of 32 bytes; a key or signature of another length is simply not valid. */
export function isSignatureValid(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  return verify(null, bytes, key, signature);
}

function newestOf({ epochs }: KeyMaterial): number {
  return Math.max(...epochs.map(({ epoch }) => epoch));
}

function importEpochs({ epochs }: KeyMaterial): ReadonlyMap<number, KeyObject> {
  return new Map(epochs.map(({ epoch, key }) => [epoch, createSecretKey(key)]));
}

const OBJECT_KEY_LABEL = Buffer.from('holdfast object 1', 'latin1');

/** The DER that stands before the 32 bytes of an Ed25519 seed (RFC 8410, section 7) and public key (section 4). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

function rawPublicKeyOf(privateKey: KeyObject): Buffer {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return Buffer.from(der.subarray(SPKI_PREFIX.length));
}
