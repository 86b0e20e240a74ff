/**
 * The keys of one repository, and how people and machines get at them.
 *
 * Nouns. *Key bundle*: every secret of a repository. *Slot*: the bundle wrapped for one passphrase or key file. *Credential*: what somebody has who
 * may open a slot. *Key ring*: an opened bundle, ready for use; its *material* may be handed to worker threads. *Epoch*: a generation of the
 * sealing key.
 *
 * It writes no ledger: who changes a slot records it. Format: `docs/design.md` 3.
 */
export * from './credential.ts';
export * from './key-bundle.ts';
export * from './key-slot.ts';
export * from './ring/index.ts';
export * from './signed-record.ts';
export * from './stored-slots.ts';
