import { HoldfastError, messageOf } from '../../lib/index.ts';
import { md5Password, ScramExchange } from '../auth/index.ts';
import { connectError } from '../postgres-error.ts';
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
import type { ConnectionTarget } from './target.ts';

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
 * Errors: those of `connectError`; PG_PASSWORD_MISSING, PG_PASSWORD_UNSAFE, PG_AUTHENTICATION_UNSUPPORTED, PG_SCRAM_INVALID,
 *         PG_SERVER_NOT_TRUSTED, PG_CHANNEL_BINDING_IMPOSSIBLE, PG_CONNECTION_CLOSED.
 */
export function logIn(
  channel: MessageChannel,
  target: ConnectionTarget,
  startup: ReadonlyMap<string, string>,
): Promise<Session> {
  return new Promise((resolve, reject) => {
    const authenticator = new Authenticator(channel, target);
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
            throw connectError(parseServerReport(payload), target.place);
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
            return resolve({ channel, replication: replicationOf(startup), parameters, ...key });
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

class Authenticator {
  readonly #channel: MessageChannel;
  readonly #target: ConnectionTarget;
  #scram: ScramExchange | undefined;
  #isServerProven = false;
  #isAccepted = false;

  constructor(channel: MessageChannel, target: ConnectionTarget) {
    this.#channel = channel;
    this.#target = target;
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
        this.#isAccepted = true;
        return;
      case 'sasl':
        return this.#beginSasl(request.mechanisms);
      case 'sasl-continue':
        return this.#answerSasl(request.data);
      case 'sasl-final':
        if (this.#scram === undefined) throw protocolBroken('A SASL proof came before SASL had begun.');
        this.#scram.finish(request.data);
        this.#isServerProven = true;
        return;
      case 'md5-password':
        this.#refuseWithoutBinding();
        return this.#channel.send(passwordMessage(md5Password(this.#target.user, this.#password(), request.salt)));
      case 'cleartext-password':
        this.#refuseWithoutBinding();
        if (!this.#target.isLocal && !this.#channel.transport.isEncrypted) throw this.#unsafePassword();
        return this.#channel.send(passwordMessage(this.#password()));
      case 'unsupported':
        throw new HoldfastError('PG_AUTHENTICATION_UNSUPPORTED', `cannot log in to ${this.#target.place}`, {
          detail: `The server asks for authentication method ${request.method}, which is not supported.`,
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
      this.#scram = new ScramExchange(this.#password());
    } else {
      throw new HoldfastError('PG_AUTHENTICATION_UNSUPPORTED', `cannot log in to ${this.#target.place}`, {
        detail: `Expected SCRAM-SHA-256 among the methods that the server offers, found ${mechanisms.join(', ') || 'none'}.`,
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

  #password(): string {
    const password = this.#target.revealPassword();
    if (password !== undefined) return password;
    throw new HoldfastError('PG_PASSWORD_MISSING', `cannot log in to ${this.#target.place} without a password`, {
      detail: `The server asks for the password of "${this.#target.user}".`,
      hints: ['Set PGPASSWORD, or write the password into the connection string or the password file (~/.pgpass).'],
    });
  }

  #unsafePassword(): HoldfastError {
    return new HoldfastError('PG_PASSWORD_UNSAFE', `refused to send a password to ${this.#target.place} in the clear`, {
      detail: 'The server asks for the password itself, and the connection is not encrypted.',
      hints: ['Use sslmode=require or better, or let pg_hba.conf ask for scram-sha-256.'],
    });
  }
}

function closedWhileLoggingIn(target: ConnectionTarget, cause: Error | undefined): HoldfastError {
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
