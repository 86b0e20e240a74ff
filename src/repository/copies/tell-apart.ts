import { codeOf, HoldfastError } from '../../lib/index.ts';
import { FORMAT_NAME } from '../format/index.ts';
import type { ObjectStore, StorePlace } from '../object-store/index.ts';
import { drawProbeName, isPermitted } from '../probe/index.ts';
import { identifyPlace, type PlaceIdentity } from './identity.ts';

/**
 * Makes sure that a copy is another place than the primary: one bucket has many names (another host name, an address, a link to a directory), and a
 * copy that is the primary would always look whole.
 *
 * In one place `format` has one time, so two times tell most places apart and nothing is written. Where they are equal, an object under `volatile/`,
 * which is never copied, is put into one of them, looked for in the other, and removed again. Who may write to neither cannot find out, and brings
 * nothing anywhere.
 * Errors: `REPOSITORY_COPY_SAME`; those of both stores, but that they may not be written to.
 */
async function tellApart(primary: ObjectStore, copy: StorePlace): Promise<void> {
  const [ours, theirs] = await Promise.all([primary.stat(FORMAT_NAME), copy.store.stat(FORMAT_NAME)]);
  if (ours === null || theirs === null || ours.modifiedAt !== theirs.modifiedAt) return;
  const name = drawProbeName();
  for (const [written, asked] of [
    [copy.store, primary],
    [primary, copy.store],
  ] as const) {
    if (!(await isPermitted(() => written.putIfAbsent(name, QUESTION)))) continue;
    try {
      if ((await asked.stat(name)) !== null) throw samePlace(primary, copy);
      return;
    } finally {
      // Credentials that may not delete are enough for a copy; what stays is removed by a later trial of the place.
      await written.delete(name).catch(() => {});
    }
  }
}

const QUESTION = Buffer.from('is this the other place, too?');

/**
 * What a place is to the repository with these bytes of `format`, before anything is brought to it or counted on. Nothing is left there.
 *
 * Errors: `REPOSITORY_COPY_FOREIGN`, `REPOSITORY_COPY_SAME`; those of both stores.
 */
export async function admitPlace(primary: ObjectStore, place: StorePlace, format: Buffer): Promise<PlaceIdentity> {
  const identity = await identifyPlace(place, format);
  if (identity === 'same') await tellApart(primary, place);
  return identity;
}

/** Whether a place is none of the repository's copies, as it is another repository's, or the primary itself. */
export function isNoCopy(error: unknown): boolean {
  return ['REPOSITORY_COPY_FOREIGN', 'REPOSITORY_COPY_SAME'].includes(codeOf(error) ?? '');
}

function samePlace(primary: ObjectStore, { name, store }: StorePlace): HoldfastError {
  return new HoldfastError(
    'REPOSITORY_COPY_SAME',
    `cannot use copy "${name}" in ${store.description}: it is the primary itself`,
    {
      detail: `Expected a place of its own, found what lies in ${primary.description}, by another name: what happens to one happens to both.`,
      hints: [
        'Give the copy a directory, or a bucket and prefix, of its own: another region and another account are best.',
        'Until then there is one place, and no copy.',
      ],
    },
  );
}
