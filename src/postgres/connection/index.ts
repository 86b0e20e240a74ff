/**
 * A conversation with one PostgreSQL server over a socket.
 *
 * Nouns: a *target* says where the server is, or may be, and who we are; a *transport* is the socket, in the clear or under TLS; a
 * *connection* is an authenticated transport on which one *exchange* (a query, a copy) runs at a time.
 * It knows nothing of what is asked: commands for replication are in `replication/`.
 */
export { type ConnectOptions, connect } from './connect.ts';
export {
  type CopyBothWriter,
  type CopyInWriter,
  type ExchangeHandlers,
  PostgresConnection,
  type QueryResult,
} from './connection.ts';
export { type ConnectionEnvironment, parseConnectionString } from './connection-string.ts';
export { findPassword } from './password-file.ts';
export {
  ConnectionTarget,
  type ServerPlace,
  type SessionAttributes,
  type SslMode,
  type TargetParts,
} from './target.ts';
