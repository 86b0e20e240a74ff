import { HoldfastError } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import { type ProbeFinding, type StoreProbe, type StorePromise, storePromises } from './findings.ts';

/**
 * Why a repository cannot be written in a store that behaved so; `null` when it can. The first promise that is broken, in their order.
 *
 * Codes: `STORE_DENIED` for credentials that may not overwrite what is volatile, `STORE_OVERWRITES`, `STORE_READS_WRONG`, `STORE_LISTS_LATE`, `STORE_KEEPS_DELETED`, `STORE_LOCK_ABSENT`, `STORE_CLOCK_SKEWED`.
 */
export function whyUnfit(store: ObjectStore, { findings }: StoreProbe): HoldfastError | null {
  const broken = storePromises.find((promise) => findings[promise].outcome === 'broken');
  if (broken === undefined && findings.overwrite.outcome === 'unseen') return mayNotOverwrite(store);
  return broken === undefined
    ? null
    : unfit(broken, findings[broken], `cannot keep a repository in ${store.description}`);
}

function unfit(promise: StorePromise, { found, expected }: ProbeFinding, refused: string): HoldfastError {
  const elsewhere =
    'Choose another place: this one does not keep what every object is built on. No part of a repository was stored in it.';
  const parts = { detail: `Expected ${expected}, found ${found}.`, hints: [elsewhere] };
  switch (promise) {
    case 'create-once':
      return new HoldfastError(
        'STORE_OVERWRITES',
        `${refused}: it replaces an object by a second one of its name`,
        parts,
      );
    case 'create-once-at-once':
      return new HoldfastError(
        'STORE_OVERWRITES',
        `${refused}: several writers of one name are told that they won`,
        parts,
      );
    case 'read-after-write':
    case 'overwrite':
      return new HoldfastError('STORE_READS_WRONG', `${refused}: it does not give back what was just stored`, parts);
    case 'ranged-read':
      return new HoldfastError('STORE_READS_WRONG', `${refused}: it does not give back a part of an object`, parts);
    case 'list-after-write':
      return new HoldfastError('STORE_LISTS_LATE', `${refused}: it does not list what was just stored`, parts);
    case 'delete':
      return new HoldfastError('STORE_KEEPS_DELETED', `${refused}: it goes on showing what was removed`, parts);
    case 'lock':
    case 'versioning':
      return new HoldfastError('STORE_LOCK_ABSENT', `${refused}: it has no locks, and they are asked for`, {
        ...parts,
        hints: [
          'Make a bucket or container with object lock; most places cannot turn it on later.',
          'Or leave the lock out of the plan, and know that whoever holds the credentials can delete everything.',
        ],
      });
    case 'clock':
      return new HoldfastError('STORE_CLOCK_SKEWED', `${refused}: its clock and ours differ`, {
        ...parts,
        hints: [
          'Set the clock of this host by a time service, such as `sudo timedatectl set-ntp true`, and try again.',
        ],
      });
  }
}

function mayNotOverwrite(store: ObjectStore): HoldfastError {
  return new HoldfastError(
    'STORE_DENIED',
    `cannot write a repository in ${store.description}: leases cannot be renewed`,
    {
      detail: 'Expected credentials that may overwrite what lies below "volatile/", found that they may not.',
      hints: ['Give them the right there and nowhere else; docs/object-stores.md has the rights that suffice.'],
    },
  );
}
