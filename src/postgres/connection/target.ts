import { inspect } from 'node:util';
import { readPasswordFile } from './password-file.ts';
import type { AuthenticationRule } from './require-auth.ts';

/** How much TLS is asked for, with libpq's names and meaning. */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** What a session must be like for the server to be the right one, with libpq's names and meaning. */
export type SessionAttributes = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby';

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/**
 * One place where the server may be. `host` that begins with '/' is the directory of a Unix socket, with '@' the same in the
 * abstract namespace; empty when only the address is known. `hostAddress` is what is connected to instead of looking `host` up.
 */
export interface ServerPlace {
  readonly host: string;
  readonly hostAddress?: string | undefined;
  readonly port: number;
}

/** How TLS is spoken. Paths are as they were given; `defaultDirectory` is where libpq looks for what was not given. */
export interface TlsParts {
  /** Path of a file with trusted certificates, or 'system' for those of the machine. */
  readonly rootCertificate?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
  readonly keyPassword?: string | undefined;
  readonly revocationList?: string | undefined;
  readonly revocationDirectory?: string | undefined;
  readonly defaultDirectory?: string | undefined;
  /** 'disable' never sends a client certificate. */
  readonly certificateMode?: 'disable' | 'allow';
  /** 'direct' begins with TLS instead of asking for it first. */
  readonly negotiation?: 'postgres' | 'direct';
  /** False: the host's name is not said in the clear. */
  readonly sendsName?: boolean;
  readonly versionMin?: TlsVersion | undefined;
  readonly versionMax?: TlsVersion | undefined;
}

/** What the kernel does on an idle TCP connection; what is left open is the system's own. */
export interface Keepalive {
  readonly isOn: boolean;
  readonly idleMs?: number | undefined;
  readonly intervalMs?: number | undefined;
  readonly count?: number | undefined;
}

/** What a target is made of. */
export interface TargetParts {
  /** Tried in this order unless `balancesLoad`. */
  readonly servers: readonly [ServerPlace, ...ServerPlace[]];
  readonly balancesLoad?: boolean;
  readonly sessionAttributes?: SessionAttributes;
  readonly user: string;
  readonly password?: string | undefined;
  /** Where the password is looked up at each login when none was given. */
  readonly passwordFile?: string | undefined;
  readonly database: string;
  readonly sslMode: SslMode;
  readonly tls?: TlsParts;
  readonly channelBinding: 'disable' | 'prefer' | 'require';
  /** What the server may ask for; anything when not given. */
  readonly requireAuthentication?: AuthenticationRule | undefined;
  readonly applicationName?: string | undefined;
  /** libpq's `options`: settings for the session in command-line form. */
  readonly options?: string | undefined;
  readonly keepalive?: Keepalive;
  /** For each address that is tried. */
  readonly connectTimeoutMs: number;
  /** Names of parameters that were given and change nothing here, each with the reason. */
  readonly withoutEffect?: readonly string[];
}

/** The password for one login, and where it was found; a file that was passed over comes with the reason. */
export interface FoundPassword {
  readonly password: string | undefined;
  readonly file: string | undefined;
  readonly whyFileUnused: string | undefined;
}

/** What a line for streaming replication has in the place of the database. */
const REPLICATION_DATABASE = 'replication';

/**
 * Where a server is, or may be, and who we are there. Secrets can be asked for but are never printed: not by `toString`, JSON or
 * `console.log`, and no error text is made from them.
 *
 * A target may name several servers; `connect` tries them and gives a connection whose own target names the one that answered.
 */
export class ConnectionTarget {
  readonly #parts: TargetParts;

  constructor(parts: TargetParts) {
    this.#parts = parts;
  }

  get servers(): readonly [ServerPlace, ...ServerPlace[]] {
    return this.#parts.servers;
  }

  /** Of the first server, or its address when it has no name. */
  get host(): string {
    const [{ host, hostAddress }] = this.#parts.servers;
    return host === '' ? (hostAddress ?? '') : host;
  }

  /** Of the first server. */
  get port(): number {
    return this.#parts.servers[0].port;
  }

  get user(): string {
    return this.#parts.user;
  }

  get database(): string {
    return this.#parts.database;
  }

  /** Everything but the secrets. */
  get parts(): Omit<TargetParts, 'password'> {
    const { password: _, tls, ...others } = this.#parts;
    if (tls === undefined) return others;
    const { keyPassword: __, ...plain } = tls;
    return { ...others, tls: plain };
  }

  /** The password for the first server, for whoever logs in; looked up anew each time when it comes from a file. */
  findPassword(forReplication = false): FoundPassword {
    const { password, passwordFile, user, database, servers } = this.#parts;
    if (password !== undefined || passwordFile === undefined) {
      return { password, file: undefined, whyFileUnused: undefined };
    }
    const question = { host: this.host, port: servers[0].port, user };
    const databases = forReplication ? [database, REPLICATION_DATABASE] : [database];
    const found = readPasswordFile(passwordFile, { ...question, databases });
    return { ...found, file: found.password === undefined ? undefined : passwordFile };
  }

  /** The same without where it came from. */
  revealPassword(): string | undefined {
    return this.findPassword().password;
  }

  revealKeyPassword(): string | undefined {
    return this.#parts.tls?.keyPassword;
  }

  /** Every secret that is known now, for whoever keeps them out of what is printed. */
  revealSecrets(): string[] {
    const passwords = this.#parts.servers.flatMap((server) => {
      const one = this.at(server);
      return [one.findPassword().password, one.findPassword(true).password];
    });
    return [...new Set([...passwords, this.revealKeyPassword()])].filter((secret) => secret !== undefined);
  }

  /** True when the first server is reached over a Unix socket, which no one else on the network can listen to. */
  get isLocal(): boolean {
    const [{ host, hostAddress }] = this.#parts.servers;
    return hostAddress === undefined && /^[/@]/.test(host);
  }

  /** The path of the Unix socket, as the server names it. One in the abstract namespace begins with '@'. */
  get socketPath(): string {
    return `${this.host}/.s.PGSQL.${this.port}`;
  }

  /** The servers in words, for messages: `server "db.example.com:5432"`. */
  get place(): string {
    const { servers } = this.#parts;
    if (servers.length === 1) return placeOf(this);
    return `servers ${servers.map((server) => placeOf(this.at(server)).replace(/^server (at )?/, '')).join(', ')}`;
  }

  /** The same target with one server only. */
  at(server: ServerPlace): ConnectionTarget {
    return this.with({ servers: [server] });
  }

  /** The same target with some parts changed. */
  with(changes: Partial<TargetParts>): ConnectionTarget {
    return new ConnectionTarget({ ...this.#parts, ...changes });
  }

  /** As a URI that `parseConnectionString` reads again to the same servers, user and database, without any secret. */
  toString(): string {
    const { servers, user, database } = this.#parts;
    const places = servers.map(({ host, port }) => {
      const name =
        host.includes(':') && !/^[/@]/.test(host) ? `[${encodeURIComponent(host)}]` : encodeURIComponent(host);
      return `${name}:${port}`;
    });
    const uri = `postgresql://${encodeURIComponent(user)}@${places.join(',')}/${encodeURIComponent(database)}`;
    if (servers.every(({ hostAddress }) => hostAddress === undefined)) return uri;
    return `${uri}?hostaddr=${servers.map(({ hostAddress }) => encodeURIComponent(hostAddress ?? '')).join(',')}`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return `ConnectionTarget(${this.toString()})`;
  }
}

function placeOf(target: ConnectionTarget): string {
  if (target.isLocal) return `server at "${target.socketPath}"`;
  const [{ hostAddress }] = target.servers;
  const named = `server "${target.host}:${target.port}"`;
  return hostAddress === undefined || hostAddress === target.host ? named : `${named} (${hostAddress})`;
}
