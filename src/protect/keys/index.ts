/**
 * Who can open a repository, as a matter of record: what is done with keys is written in the ledger.
 *
 * Nouns: as in `repository/key/`. It draws no keys and wraps none itself; that is the repository's part.
 */
export { addKey, findSlot, type KeyChange, removeKey, renewEpoch, rotateKey } from './change-keys.ts';
export { createRepository } from './create-repository.ts';
export {
  checkKit,
  type KitFinding,
  type KitOptions,
  type KitPlace,
  type KitVariable,
  makeKit,
  readKit,
} from './recovery-kit/index.ts';
