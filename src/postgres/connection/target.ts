import { inspect } from 'node:util';

/** How much TLS is asked for, with libpq's names and meaning. */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** What a target is made of. `host` that begins with '/' is the directory of a Unix socket. */
export interface TargetParts {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string | undefined;
  readonly database: string;
  readonly sslMode: SslMode;
  /** Path of a file with trusted certificates, or 'system' for those of the machine. */
  readonly sslRootCertificate?: string | undefined;
  readonly sslCertificate?: string | undefined;
  readonly sslKey?: string | undefined;
  readonly channelBinding: 'disable' | 'prefer' | 'require';
  readonly applicationName?: string | undefined;
  /** libpq's `options`: settings for the session in command-line form. */
  readonly options?: string | undefined;
  readonly connectTimeoutMs: number;
}

/**
 * Where a server is, and who we are there. The password can be asked for but is never printed: not by `toString`, JSON or
 * `console.log`, and no error text is made from it.
 */
export class ConnectionTarget {
  readonly #parts: TargetParts;

  constructor(parts: TargetParts) {
    this.#parts = parts;
  }

  get host(): string {
    return this.#parts.host;
  }

  get port(): number {
    return this.#parts.port;
  }

  get user(): string {
    return this.#parts.user;
  }

  get database(): string {
    return this.#parts.database;
  }

  /** Everything but the password. */
  get parts(): Omit<TargetParts, 'password'> {
    const { password: _, ...others } = this.#parts;
    return others;
  }

  /** The secret itself, for whoever logs in. */
  revealPassword(): string | undefined {
    return this.#parts.password;
  }

  /** True when the server is reached over a Unix socket, which no one else on the network can listen to. */
  get isLocal(): boolean {
    return this.#parts.host.startsWith('/');
  }

  /** The path of the Unix socket, as the server names it. */
  get socketPath(): string {
    return `${this.#parts.host}/.s.PGSQL.${this.#parts.port}`;
  }

  /** The server in words, for messages: `server "db.example.com:5432"`. */
  get place(): string {
    return this.isLocal ? `server at "${this.socketPath}"` : `server "${this.#parts.host}:${this.#parts.port}"`;
  }

  /** The same target with some parts changed. */
  with(changes: Partial<TargetParts>): ConnectionTarget {
    return new ConnectionTarget({ ...this.#parts, ...changes });
  }

  toString(): string {
    const host = this.isLocal ? encodeURIComponent(this.host) : this.host.includes(':') ? `[${this.host}]` : this.host;
    return `postgresql://${encodeURIComponent(this.user)}@${host}:${this.port}/${encodeURIComponent(this.database)}`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return `ConnectionTarget(${this.toString()})`;
  }
}
