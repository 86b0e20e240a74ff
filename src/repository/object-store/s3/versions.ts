import { isFragment, isVolatile } from '../object-name.ts';
import type { S3Version } from './connection.ts';

/** What keeps several objects of one name apart: all versions of a name, newest first, and its delete markers. */
export interface NamedVersions {
  readonly name: string;
  readonly versions: S3Version[];
  readonly markers: S3Version[];
}

/**
 * Puts the pages of a listing of versions together by name: the versions of one may be on several pages.
 */
export async function* groupByName(pages: AsyncIterable<readonly S3Version[]>): AsyncGenerator<NamedVersions, void> {
  let open = new Map<string, NamedVersions>();
  for await (const page of pages) {
    for (const version of page) {
      const named = open.get(version.name) ?? { name: version.name, versions: [], markers: [] };
      open.set(version.name, named);
      (version.isMarker ? named.markers : named.versions).push(version);
    }
    // Names are ASCII, whose order as text is their order as bytes. Of the last one more may come.
    const names = [...open.keys()].sort();
    const last = names.pop();
    for (const name of names) yield open.get(name)!;
    open = last === undefined ? new Map() : new Map([[last, open.get(last)!]]);
  }
  yield* open.values();
}

/**
 * Whether a listing leaves a name out although it is there: a fragment of WAL under a delete marker. Fragments are the one kind that a writer
 * deletes every day, and a writer may have no right to remove versions; what they hold is in a segment then. Anybody who may write can set
 * such a marker, so whoever looks for WAL that is in no segment asks for hidden names, too.
 */
export function isHidden({ name, markers }: NamedVersions): boolean {
  return isFragment(name) && markers.some(({ isLatest }) => isLatest);
}

/**
 * The version that counts, or `null` when the object is absent.
 *
 * An object is created once, so its oldest version is the one that was stored; a later one, or a delete marker, was put there by somebody who
 * may write and should not have (rule B1). We delete by removing versions; a marker is all that a writer may leave on a fragment. What is volatile
 * is overwritten and deleted by design: there the newest version counts, and a delete marker means absent.
 */
export function countingVersion({ name, versions, markers }: NamedVersions): S3Version | null {
  if (!isVolatile(name)) return versions.at(-1) ?? null;
  return markers.some(({ isLatest }) => isLatest) ? null : (versions[0] ?? null);
}

/**
 * The one of several versions, each put as the first of its name at the same time, that has won: the oldest. Under `volatile/` older ones may lie
 * beneath a marker; there it is the oldest since the name was last free.
 */
export function winningVersion({ name, versions, markers }: NamedVersions): S3Version | null {
  if (!isVolatile(name)) return versions.at(-1) ?? null;
  const freedAt = Math.max(0, ...markers.map(({ modifiedAt }) => modifiedAt));
  return versions.findLast(({ modifiedAt }) => modifiedAt >= freedAt) ?? null;
}
