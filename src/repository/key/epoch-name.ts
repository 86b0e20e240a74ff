import { hkdfSync } from 'node:crypto';
import type { KeyMaterial } from './ring/index.ts';

/** Which key an epoch has: two who begin one at the same moment draw two keys for the same number. */
export interface EpochName {
  epoch: number;
  /** 32 hexadecimal digits that follow from the key and tell nothing of it. */
  fingerprint: string;
}

/** What stands for the keys of a repository that are in force: the newest epoch, and which key it and those before it have. */
export interface EpochsInForce {
  epoch: number;
  epochs: readonly EpochName[];
}

export const EPOCH_FINGERPRINT_BYTES = 16;

const FINGERPRINT_LABEL = Buffer.from('holdfast epoch fingerprint 1', 'latin1');

/** The names of the epochs in a bundle, by rising number. */
export function nameEpochs({ repositoryId, epochs }: Pick<KeyMaterial, 'repositoryId' | 'epochs'>): EpochName[] {
  return epochs
    .map(({ epoch, key }) => {
      const bytes = hkdfSync('sha256', key, repositoryId, FINGERPRINT_LABEL, EPOCH_FINGERPRINT_BYTES);
      return { epoch, fingerprint: Buffer.from(bytes).toString('hex') };
    })
    .sort((a, b) => a.epoch - b.epoch);
}

/** The epochs of opened keys, as those in force. */
export function epochsOf(material: Pick<KeyMaterial, 'repositoryId' | 'epochs'>): EpochsInForce {
  const epochs = nameEpochs(material);
  return { epoch: epochs.at(-1)!.epoch, epochs };
}

/**
 * Whether this key of an epoch counts: not one that never began, nor one that somebody else was faster than. Of an epoch that is not told of, as its
 * mark could not be read when the next one began, the number alone decides.
 */
export function isInForce(inForce: EpochsInForce, { epoch, fingerprint }: EpochName): boolean {
  const told = inForce.epochs.find((each) => each.epoch === epoch);
  return epoch <= inForce.epoch && (told === undefined || told.fingerprint === fingerprint);
}

/** Before the first mark there is one epoch, and whoever made the repository made its key. */
export const FIRST_EPOCH: EpochsInForce = { epoch: 1, epochs: [] };
