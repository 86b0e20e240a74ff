/**
 * The keys of one repository, and how people and machines get at them.
 *
 * Nouns. *Key bundle*: every secret of a repository. *Slot*: the bundle wrapped for one passphrase or key file. *Key ring*: an
 * opened bundle, ready for use; its *material* may be handed to worker threads. *Epoch*: a generation of the sealing key.
 *
 * It does not know objects other than slots, and writes no ledger: who changes a slot records it.
 */
export * from './key-ring.ts';
