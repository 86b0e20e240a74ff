/**
 * The keys of one repository, and how people and machines get at them.
 *
 * Nouns. *Key bundle*: every secret of a repository. *Slot*: a key pair whose private half is locked for one passphrase, key
 * file, identity of age or key service. *Grant*: the bundle sealed to a slot. *Credential*: what somebody has who may open a slot. *Key ring*: an opened bundle, ready for use; its *material* may be handed to worker threads. *Epoch*: a generation of the
 * sealing key.
 *
 * It writes no ledger: who changes a slot records it. Format: `docs/design.md` 3.
 */
export {
  type Credential,
  type KeySecret,
  type LockingSecret,
  type NewKey,
  readLockingSecret,
  readSecret,
  type SlotKind,
  toLockingSecret,
} from './credential.ts';
export * from './epoch-name.ts';
export * from './key-bundle.ts';
export type { KeyCommand } from './key-command.ts';
export { generateKeyFile } from './key-file.ts';
export * from './key-names.ts';
export { isKeyObjectOurs } from './key-proof.ts';
export * from './key-records.ts';
export { isSlotOurs, type KeySlot, type KeySlotWithKey, makeKeySlot, openSlotOfVersion1 } from './key-slot.ts';
export { decodeKeyText, encodeKeyText } from './key-text.ts';
export * from './open-keys.ts';
export { rememberSigner } from './remembered-signer.ts';
export * from './ring/index.ts';
export * from './signed-record.ts';
export * from './stored-keys.ts';
