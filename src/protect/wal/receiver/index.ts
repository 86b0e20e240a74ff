/**
 * The WAL receiver: brings WAL from a server into the repository as it is written.
 *
 * Nouns: a *receiver* follows one server under one slot, through reconnects, promotions and forks; its *link* is the connection with what the
 * server said of itself; a *reception* is one run of arriving WAL on one timeline; the *watch* asks the server whether commits wait for us.
 * What it does is drawn in `state-machine.ts` and told in `docs/wal-receiver.md`. It does not read WAL for anybody else, and deletes nothing
 * but fragments whose segment is stored.
 */
export { FLUSH_INTERVAL_MS_DEFAULT, type WalReceiverOptions, type WalReceiverResult } from './options.ts';
export { receiveWal } from './receive-wal.ts';
export { serverSideName } from './server-side-name.ts';
export type { ReceiverState } from './state-machine.ts';
export { findInSynchronousNames, type SynchronousMention } from './synchronous-names.ts';
