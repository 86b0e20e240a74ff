import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import type { ConnectionTarget } from './target.ts';

/** Gives the addresses of a name, in the order in which they are to be tried. */
export type ResolveHost = (name: string) => Promise<readonly string[]>;

/** Asks the system, as every other program does: /etc/hosts, DNS, whatever it is set up for. */
export const systemResolver: ResolveHost = async (name) => {
  const found = await lookup(name, { all: true, order: 'verbatim' });
  return found.map(({ address }) => address);
};

/**
 * The only server of a target, once for each address that its name has. A Unix socket and an address stand for themselves.
 * Errors: PG_HOST_NOT_FOUND.
 */
export async function resolveServer(target: ConnectionTarget, resolve: ResolveHost): Promise<ConnectionTarget[]> {
  const [server] = target.servers;
  if (target.isLocal || server.hostAddress !== undefined || isIP(server.host) !== 0) return [target];
  const addresses = await resolve(server.host).catch((error: unknown) => {
    throw hostNotFound(target, error);
  });
  if (addresses.length === 0) throw hostNotFound(target, new Error('the name has no address'));
  return addresses.map((hostAddress) => target.at({ ...server, hostAddress }));
}

function hostNotFound(target: ConnectionTarget, cause: unknown): HoldfastError {
  return new HoldfastError('PG_HOST_NOT_FOUND', `could not find the host of ${target.place}`, {
    detail: `The system said: ${messageOf(cause)}.`,
    hints: ['Check the host name.'],
    retryable: codeOf(cause) === 'EAI_AGAIN',
    cause,
  });
}
