/**
 * `wal push`: one file after the other, as PostgreSQL's archiver hands them over.
 *
 * Nouns: the *archived file* is what it hands over; an *acknowledgement* is the fact, left for a later call, that a file is durable; the *push
 * socket* is a receiver's door for files. It decides nothing about the WAL itself: that is the work of `../files/`.
 */
export { Acknowledgements } from './acknowledgements.ts';
export { socketPath as pushSocketPath } from './handover-messages.ts';
export { isReceiverHere, openPushSocket, type PushSocket, type PushSocketOptions } from './push-socket.ts';
export { findCluster, pushWalFile, type WalPushOptions, type WalPushResult } from './push-wal-file.ts';
export { findOwner, findPreviousBeside, readHistoryBeside, type WalOwner } from './wal-directory.ts';
