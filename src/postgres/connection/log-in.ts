import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { md5Password, ScramExchange } from '../auth/index.ts';
import { connectError, type PostgresError } from '../postgres-error.ts';
import {
  type Authentication,
  backend,
  parseAuthentication,
  parseBackendKeyData,
  parseParameterStatus,
  parseServerReport,
  passwordMessage,
  saslInitialResponse,
  saslResponse,
  startupMessage,
} from '../protocol/index.ts';
import type { MessageChannel } from './message-channel.ts';
import type { AuthenticationMethod } from './require-auth.ts';
import type { ConnectionTarget, FoundPassword } from './target.ts';

/** What is known once the server is ready for the first command. */
export interface Session {
  readonly channel: MessageChannel;
  readonly replication: 'off' | 'physical' | 'logical';
  readonly parameters: Map<string, string>;
  readonly processId: number;
  readonly secretKey: Buffer;
}

/**
 * Says who we are, proves it in the way the server asks for, and waits until it is ready.
 *
 * Errors: those of `connectError`; PG_PASSWORD_MISSING, PG_PASSWORD_UNSAFE, PG_AUTHENTICATION_UNSUPPORTED,
 *         PG_AUTHENTICATION_REFUSED, PG_SCRAM_INVALID, PG_SERVER_NOT_TRUSTED, PG_CHANNEL_BINDING_IMPOSSIBLE, PG_TLS_FAILED,
 *         PG_CONNECTION_CLOSED.
 */
export function logIn(
  channel: MessageChannel,
  target: ConnectionTarget,
  startup: ReadonlyMap<string, string>,
): Promise<Session> {
  return new Promise((resolve, reject) => {
    const replication = replicationOf(startup);
    const authenticator = new Authenticator(channel, target, replication !== 'off');
    const parameters = new Map<string, string>();
    let key: ReturnType<typeof parseBackendKeyData> = { processId: 0, secretKey: Buffer.alloc(0) };
    channel.listen({
      onLinkLost: (error) => reject(closedWhileLoggingIn(target, error)),
      onDestroyed: reject,
      onMessage: (type, payload) => {
        switch (type) {
          case backend.authentication:
            return authenticator.answer(parseAuthentication(payload));
          case backend.errorResponse:
            throw authenticator.explain(connectError(parseServerReport(payload), target.place));
          case backend.parameterStatus: {
            const { name, value } = parseParameterStatus(payload);
            parameters.set(name, value);
            return;
          }
          case backend.backendKeyData:
            key = parseBackendKeyData(payload);
            return;
          case backend.readyForQuery:
            authenticator.checkComplete();
            return resolve({ channel, replication, parameters, ...key });
          case backend.noticeResponse:
          case backend.negotiateProtocolVersion:
            return;
          default:
            throw protocolBroken(`A message of type "${String.fromCharCode(type)}" has no place before the login.`);
        }
      },
    });
    channel.send(startupMessage(startup));
    channel.transport.resume();
  });
}

function replicationOf(startup: ReadonlyMap<string, string>): Session['replication'] {
  const value = startup.get('replication');
  if (value === undefined) return 'off';
  return value === 'database' ? 'logical' : 'physical';
}

/** Numbers of the protocol, for people. */
const UNSUPPORTED_METHODS: Readonly<Record<number, string>> = {
  2: 'Kerberos',
  7: 'GSSAPI (Kerberos)',
  9: 'SSPI (Windows)',
};

class Authenticator {
  readonly #channel: MessageChannel;
  readonly #target: ConnectionTarget;
  readonly #forReplication: boolean;
  #found: FoundPassword | undefined;
  #scram: ScramExchange | undefined;
  #wasAsked = false;
  #isServerProven = false;
  #isAccepted = false;

  constructor(channel: MessageChannel, target: ConnectionTarget, forReplication: boolean) {
    this.#channel = channel;
    this.#target = target;
    this.#forReplication = forReplication;
  }

  /** Adds where the password came from, as a wrong one in a file is looked for in the wrong place. */
  explain(error: PostgresError): PostgresError {
    const file = this.#found?.file;
    if (file === undefined || error.code !== 'PG_AUTHENTICATION_FAILED') return error;
    return error.withDetail(`The password was taken from the password file "${file}".`);
  }

  async #answerSasl(serverFirst: string): Promise<void> {
    if (this.#scram === undefined) throw protocolBroken('A SASL challenge came before SASL had begun.');
    this.#channel.send(saslResponse(await this.#scram.respond(serverFirst)));
  }

  answer(request: Authentication): void | Promise<void> {
    switch (request.kind) {
      case 'ok':
        // A server that skips its own proof after it was given ours may be one that does not know the password.
        if (this.#scram !== undefined && !this.#isServerProven) throw protocolBroken('The server left out its proof.');
        if (this.#scram === undefined) this.#refuseWithoutBinding();
        if (!this.#wasAsked) this.#checkAllowed('none');
        this.#isAccepted = true;
        return;
      case 'sasl':
        this.#checkAllowed('scram-sha-256');
        return this.#beginSasl(request.mechanisms);
      case 'sasl-continue':
        return this.#answerSasl(request.data);
      case 'sasl-final':
        if (this.#scram === undefined) throw protocolBroken('A SASL proof came before SASL had begun.');
        this.#scram.finish(request.data);
        this.#isServerProven = true;
        return;
      case 'md5-password':
        this.#checkAllowed('md5');
        this.#refuseWithoutBinding();
        return this.#channel.send(passwordMessage(md5Password(this.#target.user, this.#password(), request.salt)));
      case 'cleartext-password':
        this.#checkAllowed('password');
        this.#refuseWithoutBinding();
        if (!this.#isPasswordSafe()) throw this.#unsafePassword();
        return this.#channel.send(passwordMessage(this.#password()));
      case 'unsupported':
        throw new HoldfastError('PG_AUTHENTICATION_UNSUPPORTED', `cannot log in to ${this.#target.place}`, {
          detail: `The server asks for ${UNSUPPORTED_METHODS[request.method] ?? `authentication method ${request.method}`}, which is not supported.`,
          hints: ['Let pg_hba.conf ask this user for scram-sha-256.'],
        });
    }
  }

  /** Called when the server says that it is ready: no server may get there without having accepted us. */
  checkComplete(): void {
    if (!this.#isAccepted) throw protocolBroken('The server is ready before it has accepted the login.');
  }

  #beginSasl(mechanisms: readonly string[]): void {
    const { channelBinding } = this.#target.parts;
    const { certificateHash } = this.#channel.transport;
    const canBind = mechanisms.includes('SCRAM-SHA-256-PLUS') && certificateHash !== undefined;
    if (canBind && channelBinding !== 'disable') {
      this.#scram = new ScramExchange(this.#password(), { kind: 'tls-server-end-point', certificateHash });
    } else if (mechanisms.includes('SCRAM-SHA-256')) {
      this.#refuseWithoutBinding();
      // Said to a server that could have bound the login, this shows it that somebody on the way took its offer out.
      const kind = certificateHash !== undefined && channelBinding !== 'disable' ? 'not-offered' : 'none';
      this.#scram = new ScramExchange(this.#password(), { kind });
    } else {
      throw new HoldfastError('PG_AUTHENTICATION_UNSUPPORTED', `cannot log in to ${this.#target.place}`, {
        detail: `Expected SCRAM-SHA-256 among the methods that the server offers, found ${mechanisms.join(', ') || 'none'}.`,
        hints: ['Let pg_hba.conf ask this user for scram-sha-256.'],
      });
    }
    this.#channel.send(saslInitialResponse(this.#scram.mechanism, this.#scram.first()));
  }

  #refuseWithoutBinding(): void {
    if (this.#target.parts.channelBinding !== 'require') return;
    throw new HoldfastError(
      'PG_CHANNEL_BINDING_IMPOSSIBLE',
      `cannot bind the login to ${this.#target.place} to its TLS`,
      {
        detail: 'channel_binding is "require", and the server, its certificate or the missing TLS does not allow it.',
        hints: ['Use channel_binding=prefer with sslmode=verify-full.'],
      },
    );
  }

  /** Refuses a method that require_auth leaves out, before anything is proved by it. */
  #checkAllowed(method: AuthenticationMethod): void {
    this.#wasAsked ||= method !== 'none';
    const rule = this.#target.parts.requireAuthentication;
    if (rule === undefined || rule.allows(method)) return;
    throw new HoldfastError('PG_AUTHENTICATION_REFUSED', `refused to log in to ${this.#target.place}`, {
      detail: `require_auth is "${rule.text}", and the server ${method === 'none' ? 'asks for no proof at all' : `asks for ${method}`}.`,
      hints: ['Check that this is the right server, or change require_auth or the line in pg_hba.conf.'],
    });
  }

  /** In the clear only where nobody can listen, or where somebody has said that a password in the clear is meant. */
  #isPasswordSafe(): boolean {
    const rule = this.#target.parts.requireAuthentication;
    const isMeant = rule !== undefined && !rule.text.startsWith('!') && rule.allows('password');
    return this.#target.isLocal || this.#channel.transport.isEncrypted || isMeant;
  }

  #password(): string {
    this.#found = this.#target.findPassword(this.#forReplication);
    const { password, whyFileUnused } = this.#found;
    if (password !== undefined) return password;
    throw new HoldfastError('PG_PASSWORD_MISSING', `cannot log in to ${this.#target.place} without a password`, {
      detail: [`The server asks for the password of "${this.#target.user}".`, whyFileUnused ?? ''].join(' ').trim(),
      hints: ['Set PGPASSWORD, or write the password into the connection string or the password file (~/.pgpass).'],
    });
  }

  #unsafePassword(): HoldfastError {
    return new HoldfastError('PG_PASSWORD_UNSAFE', `refused to send a password to ${this.#target.place} in the clear`, {
      detail: 'The server asks for the password itself, and the connection is not encrypted.',
      hints: [
        'Use sslmode=require or better, or let pg_hba.conf ask for scram-sha-256.',
        'Where the network itself is trusted, say so with require_auth=password.',
      ],
    });
  }
}

function closedWhileLoggingIn(target: ConnectionTarget, cause: Error | undefined): HoldfastError {
  // Since TLS 1.3 a server looks at our certificate only after it has let us begin.
  if (codeOf(cause)?.startsWith('ERR_SSL_')) {
    return new HoldfastError('PG_TLS_FAILED', `cannot encrypt the connection to ${target.place}`, {
      detail: `The server ended TLS with: ${messageOf(cause)}.`,
      hints: ['Check that the server trusts the authority of the client certificate (its ssl_ca_file), and sslcert.'],
      cause,
    });
  }
  return new HoldfastError('PG_CONNECTION_CLOSED', `could not log in to ${target.place}: the connection was closed`, {
    detail:
      cause === undefined
        ? 'The server closed the connection before it had answered.'
        : `The system said: ${messageOf(cause)}.`,
    retryable: true,
    cause,
  });
}

function protocolBroken(detail: string): HoldfastError {
  return new HoldfastError('PG_PROTOCOL_VIOLATION', 'invalid message from the server', { detail });
}
