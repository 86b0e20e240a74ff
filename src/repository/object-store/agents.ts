import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity, getCACertificates } from 'node:tls';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { HoldfastError, messageOf } from '../../lib/index.ts';

/** More requests at once wait for a connection: enough to hide the way to a far region, few enough for any server. */
const CONNECTIONS_MAX = 64;

/** Without a byte in either direction for this long a connection is dead; a server that checks 64 MiB answers far sooner. */
export const SILENCE_MS_MAX = 60_000;

/** Between two requests a connection is kept for the next one; opening one costs two or three times the way there and back. */
const pool = { keepAlive: true, maxSockets: CONNECTIONS_MAX, scheduling: 'lifo' } as const;

/** How a store is connected to. */
export interface Connecting {
  /** A file of certificates (PEM) that are trusted besides those of the system. */
  readonly caFile?: string;
  readonly proxy?: URL;
  readonly endpoint?: URL;
}

/** The connections of a store: straight or through its proxy, trusting the system's authorities and those of its own file. */
export async function makeAgents({
  caFile,
  proxy,
  endpoint,
}: Connecting): Promise<{ httpAgent: HttpAgent; httpsAgent: HttpsAgent }> {
  const trust = caFile === undefined ? {} : { ca: [...getCACertificates('default'), await readAuthority(caFile)] };
  if (proxy === undefined) {
    return { httpAgent: new HttpAgent(pool), httpsAgent: new HttpsAgent({ ...pool, ...trust }) };
  }
  const tunnel = new HttpsProxyAgent(proxy, { ...pool, ...trust });
  // What it is made with counts for the way to the proxy; what stands here, for the server behind it. That one is spoken to by TLS must be said:
  // the agent would guess it anew at each turn, wrongly where a connection comes back, and none would be used twice.
  Object.assign(tunnel.options, trust, { secureEndpoint: true }, endpoint === undefined ? {} : identityOf(endpoint));
  return { httpAgent: new HttpProxyAgent(proxy, pool), httpsAgent: tunnel as unknown as HttpsAgent };
}

/** Through a tunnel Node forgets an address that is no name, and would compare the certificate with "localhost". */
function identityOf({ hostname }: URL): { checkServerIdentity?: typeof checkServerIdentity } {
  const host = hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0
    ? {}
    : { checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate) };
}

async function readAuthority(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw unreadable(path, `The system said: ${messageOf(error)}.`);
  }
  if (/-----BEGIN (?:TRUSTED )?CERTIFICATE-----/.test(text)) return text;
  throw unreadable(path, 'Expected certificates in PEM, found none.');
}

function unreadable(path: string, detail: string): HoldfastError {
  return new HoldfastError('STORE_LOCATION_INVALID', `cannot use the certificate file "${path}"`, {
    detail,
    hints: [
      'Check what caFile in the address names: a file with the certificate of the authority that the server is to be trusted by.',
    ],
  });
}
