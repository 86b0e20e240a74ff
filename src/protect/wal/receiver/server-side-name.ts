import { createHash } from 'node:crypto';

/** A slot's name has at most this many bytes; so has an application name. */
const NAME_BYTES_MAX = 63;

/**
 * The name under which a cluster's receiver is known on the server: of its slot, and as application name in synchronous_standby_names.
 *
 * Shape: `holdfast_<cluster>`, with `_` for a hyphen. A name with anything else that a slot cannot have, or a longer one, is changed further, and
 * a hash of it is added, so that it is told apart from what it was changed into.
 */
export function serverSideName(cluster: string): string {
  const plain = `holdfast_${cluster}`;
  const safe = plain.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  const isSame = safe === plain.replaceAll('-', '_');
  if (isSame && safe.length <= NAME_BYTES_MAX) return safe;
  const hash = createHash('sha256').update(cluster).digest('hex').slice(0, 8);
  return `${safe.slice(0, NAME_BYTES_MAX - hash.length - 1)}_${hash}`;
}
