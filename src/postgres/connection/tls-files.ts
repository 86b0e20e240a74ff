import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { unsupportedString } from './invalid-string.ts';
import type { ConnectionTarget } from './target.ts';

/** What TLS works with, as Node.js takes it. Without `ca` the server's certificate is not checked. */
export interface TlsMaterial {
  readonly ca: string | Buffer | string[] | undefined;
  readonly crl: Buffer[] | undefined;
  readonly cert: string | Buffer | undefined;
  readonly key: string | undefined;
}

/** The names under which libpq finds files in ~/.postgresql when none are given. */
const DEFAULT_FILES = {
  root: 'root.crt',
  revocation: 'root.crl',
  certificate: 'postgresql.crt',
  key: 'postgresql.key',
};

/** How `openssl rehash` names a revocation list. */
const HASHED_LIST = /^[0-9a-f]{8}\.r[0-9]+$/;

/**
 * Reads the files that a target's TLS needs, anew for each connection as certificates are renewed. A file that was named must be
 * there; libpq's default ones are used when they are.
 *
 * Errors: PG_TLS_FILE_UNUSABLE, PG_CONNECTION_STRING_UNSUPPORTED (a key of an OpenSSL engine).
 * Source: PostgreSQL manual, "SSL Support".
 */
export function readTlsMaterial(target: ConnectionTarget): TlsMaterial {
  const ca = readRoots(target);
  return { ca, crl: ca === undefined ? undefined : readRevocationLists(target), ...readIdentity(target) };
}

function readRoots(target: ConnectionTarget): TlsMaterial['ca'] {
  const { sslMode, tls } = target.parts;
  if (tls?.rootCertificate === 'system') {
    const roots = getCACertificates('system');
    if (roots.length > 0) return roots;
    throw unusable('cannot find the root certificates of this system', {
      detail: 'sslrootcert is "system", and the list of trusted authorities is empty.',
      hints: ['Install the package ca-certificates, or name a file as sslrootcert.'],
    });
  }
  const path = tls?.rootCertificate ?? defaultFile(target, DEFAULT_FILES.root);
  if (path !== undefined) return readNamed(path, 'root certificate');
  if (sslMode !== 'verify-ca' && sslMode !== 'verify-full') return undefined;
  throw unusable(`cannot check the certificate of ${target.place}: no root certificate is known`, {
    detail: `sslmode is "${sslMode}", and there is neither sslrootcert nor "${tls?.defaultDirectory ?? '~/.postgresql'}/${DEFAULT_FILES.root}".`,
    hints: [
      'Name the certificate of the authority as sslrootcert.',
      'Use sslrootcert=system where the server has a certificate of a public authority.',
    ],
  });
}

function readRevocationLists(target: ConnectionTarget): Buffer[] | undefined {
  const { revocationList, revocationDirectory } = target.parts.tls ?? {};
  const path =
    revocationList ?? (revocationDirectory === undefined ? defaultFile(target, DEFAULT_FILES.revocation) : undefined);
  const lists = path === undefined ? [] : [readNamed(path, 'revocation list')];
  if (revocationDirectory !== undefined) {
    for (const name of listDirectory(revocationDirectory)) {
      if (HASHED_LIST.test(name)) lists.push(readNamed(`${revocationDirectory}/${name}`, 'revocation list'));
    }
  }
  return lists.length === 0 ? undefined : lists;
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    throw unreadable(path, 'directory of revocation lists', error);
  }
}

/** Our own certificate and its key; none when there is none to show. */
function readIdentity(target: ConnectionTarget): Pick<TlsMaterial, 'cert' | 'key'> {
  const { tls } = target.parts;
  if (tls?.certificateMode === 'disable') return { cert: undefined, key: undefined };
  const certificatePath = tls?.certificate ?? defaultFile(target, DEFAULT_FILES.certificate);
  if (certificatePath === undefined) return { cert: undefined, key: undefined };
  const cert = toPem(readNamed(certificatePath, 'client certificate'), certificatePath);
  const keyPath = tls?.key ?? defaultFile(target, DEFAULT_FILES.key);
  if (keyPath === undefined) {
    throw unusable(`cannot use the client certificate "${certificatePath}": its key is missing`, {
      detail: `There is neither sslkey nor "${tls?.defaultDirectory ?? '~/.postgresql'}/${DEFAULT_FILES.key}".`,
      hints: ['Name the key as sslkey.'],
    });
  }
  const key = readKey(keyPath, target.revealKeyPassword());
  if (!new X509Certificate(cert).checkPrivateKey(key)) {
    throw unusable(`cannot use the client certificate "${certificatePath}" with the key "${keyPath}"`, {
      detail: 'The key does not belong to the certificate; where the file holds several, the first one counts.',
      hints: ['Check sslcert and sslkey.'],
    });
  }
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }) as string };
}

/** PEM stays as it is, with whatever chain follows; DER holds one certificate. */
function toPem(bytes: Buffer, path: string): string {
  const text = bytes.toString('latin1');
  try {
    return text.includes('-----BEGIN') ? checked(text) : new X509Certificate(bytes).toString();
  } catch (error) {
    throw unusable(`cannot read the client certificate "${path}"`, {
      detail: `Expected a certificate as PEM or DER. OpenSSL said: ${messageOf(error)}.`,
    });
  }
}

function checked(pem: string): string {
  void new X509Certificate(pem);
  return pem;
}

function readKey(path: string, password: string | undefined): KeyObject {
  if (!existsSync(path) && /^[a-z0-9_-]+:/i.test(path)) {
    throw unsupportedString(
      'sslkey names a key of an OpenSSL engine, which is not supported.',
      'Name a file as sslkey.',
    );
  }
  const bytes = readNamed(path, 'key of the client certificate');
  checkKeyRights(path);
  const isPem = bytes.toString('latin1').includes('-----BEGIN');
  const forms = isPem
    ? [{ format: 'pem' } as const]
    : (['pkcs8', 'pkcs1', 'sec1'] as const).map((type) => ({ format: 'der', type }) as const);
  let failure: unknown;
  for (const form of forms) {
    try {
      return createPrivateKey({ key: bytes, ...form, ...(password === undefined ? {} : { passphrase: password }) });
    } catch (error) {
      failure ??= error;
    }
  }
  const isLocked = codeOf(failure) === 'ERR_MISSING_PASSPHRASE';
  throw unusable(`cannot read the key "${path}" of the client certificate`, {
    detail: isLocked ? 'It is encrypted, and no sslpassword was given.' : `OpenSSL said: ${messageOf(failure)}.`,
    hints: ['Check sslkey and sslpassword.'],
  });
}

/** As libpq asks for it: 0600, or 0640 when the system's administrator keeps the file for a group. */
function checkKeyRights(path: string): void {
  const status = statSync(path);
  const forbidden = status.uid === 0 ? 0o037 : 0o077;
  if (status.isFile() && (status.mode & forbidden) === 0) return;
  throw unusable(`refused to use the key "${path}" of the client certificate: others may read it`, {
    detail: `Expected a plain file with the rights 0600, or 0640 when it belongs to root; found ${(status.mode & 0o777).toString(8).padStart(4, '0')}.`,
    hints: [`Run chmod 0600 ${path}.`],
  });
}

function defaultFile(target: ConnectionTarget, name: string): string | undefined {
  const directory = target.parts.tls?.defaultDirectory;
  if (directory === undefined) return undefined;
  const path = `${directory}/${name}`;
  return existsSync(path) ? path : undefined;
}

function readNamed(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw unreadable(path, what, error);
  }
}

function unreadable(path: string, what: string, cause: unknown): HoldfastError {
  return unusable(`could not read the ${what} "${path}"`, {
    detail: `The system said: ${messageOf(cause)}.`,
    hints: ['Check the path, and who may read it.'],
    cause,
  });
}

function unusable(message: string, parts: { detail: string; hints?: string[]; cause?: unknown }): HoldfastError {
  return new HoldfastError('PG_TLS_FILE_UNUSABLE', message, parts);
}
