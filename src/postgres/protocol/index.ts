/**
 * The bytes of PostgreSQL's frontend/backend protocol 3.0, without a socket.
 *
 * Nouns: a *message* is a type byte, a length and a payload; the *parser* cuts a byte stream into messages; *backend* messages
 * are read, *frontend* messages are written. All of it is pure: nothing here waits, connects or keeps a conversation.
 *
 * Source: PostgreSQL manual, "Message Formats".
 */
export * from './backend-messages.ts';
export * from './frontend-messages.ts';
export { MessageParser, type MessageSink } from './parser.ts';
export { PayloadReader } from './reader.ts';
export { MessageWriter } from './writer.ts';
