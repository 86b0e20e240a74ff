/**
 * Proving to a server who we are, without a socket: SCRAM-SHA-256 and the older MD5 method.
 *
 * Nothing here decides which method is acceptable on which link; the connection does.
 */
export { md5Password } from './md5.ts';
export { ScramExchange } from './scram.ts';
