import { isAbsolute, resolve, sep } from 'node:path';
import { HoldfastError } from '../lib/index.ts';

/** A tablespace as the backed-up server had it. */
export interface StoredTablespace {
  readonly oid: number;
  /** Absolute; `pg_tblspc/<oid>` for one that lies in the data directory itself. */
  readonly path: string;
  /** Not known of snapshots whose server was not asked. */
  readonly name?: string | undefined;
}

/** What the user says of the places. */
export interface TablespaceWishes {
  /** `which` is an OID, a name or the old path. */
  readonly mappings: readonly { readonly which: string; readonly path: string }[];
  /** Each tablespace that is not named goes below this directory, under its OID. */
  readonly into?: string | undefined;
}

/** A tablespace and the place where it is restored. */
export interface PlacedTablespace {
  readonly oid: number;
  readonly name: string | null;
  /** Where the old server had it. */
  readonly from: string;
  /** Absolute; null for one that lies in the data directory itself and stays there. */
  readonly path: string | null;
}

/** Beside the restored directory, and never where another server may have its files. */
export const TABLESPACES_SUFFIX = '.tablespaces';

/**
 * Reads `which=path` as a person types it. The path may have `=` in it; an old path that has one is named by its OID.
 * Errors: RESTORE_TABLESPACE_INVALID.
 */
export function parseTablespaceMapping(text: string): { which: string; path: string } {
  const at = text.indexOf('=');
  const [which, path] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at > 0 && which !== '' && path !== '') return { which, path: resolve(path) };
  throw invalid(
    `invalid tablespace mapping "${text}"`,
    'Expected an OID, a name or the old path, "=", and a directory.',
    ['Write it like --tablespace 16385=/new/place.'],
  );
}

/**
 * Chooses the place of each tablespace: the one that was named, otherwise `<tablespaces-into>/<oid>`, otherwise `<into>.tablespaces/<oid>`.
 * The place where the old server has it is taken only when somebody names it.
 *
 * Errors: RESTORE_TABLESPACE_INVALID: a mapping of nothing, two of one, places that lie in each other.
 */
export function placeTablespaces(
  stored: readonly StoredTablespace[],
  wishes: TablespaceWishes,
  into: string,
): PlacedTablespace[] {
  const wished = matchWishes(stored, wishes);
  const base = wishes.into === undefined ? `${into}${TABLESPACES_SUFFIX}` : resolve(wishes.into);
  const placed = stored.map(({ oid, name, path }): PlacedTablespace => {
    const isInside = !isAbsolute(path);
    return {
      oid,
      name: name ?? null,
      from: path,
      path: isInside ? null : (wished.get(oid) ?? `${base}${base.endsWith(sep) ? '' : sep}${oid}`),
    };
  });
  refuseNesting(placed, into);
  return placed;
}

function matchWishes(stored: readonly StoredTablespace[], { mappings }: TablespaceWishes): Map<number, string> {
  const wished = new Map<number, string>();
  for (const { which, path } of mappings) {
    const matching = stored.filter((space) => isMeant(space, which));
    const [space, second] = matching;
    if (space === undefined || second !== undefined) throw noSuchTablespace(which, stored, matching.length);
    if (!isAbsolute(space.path)) {
      throw invalid(`cannot map tablespace "${which}": it lies in the data directory itself`, insideDetail(space), []);
    }
    if (wished.has(space.oid)) {
      throw invalid(`cannot map tablespace "${which}" twice`, 'Expected one place for each tablespace.', []);
    }
    wished.set(space.oid, resolve(path));
  }
  return wished;
}

function isMeant({ oid, path, name }: StoredTablespace, which: string): boolean {
  if (which === String(oid) || which === name) return true;
  return isAbsolute(which) && resolve(which) === resolve(path);
}

function refuseNesting(placed: readonly PlacedTablespace[], into: string): void {
  const places = [
    { what: 'the data directory', path: into },
    ...placed.flatMap(({ oid, path }) => (path === null ? [] : [{ what: `tablespace ${oid}`, path }])),
  ];
  for (const [i, one] of places.entries()) {
    const other = places.slice(i + 1).find(({ path }) => isWithin(path, one.path) || isWithin(one.path, path));
    if (other === undefined) continue;
    throw invalid(
      `cannot place ${other.what} at "${other.path}"`,
      `Expected a place of its own, but ${one.what} is at "${one.path}".`,
      ['Name places that do not lie in each other with --tablespace or --tablespaces-into.'],
    );
  }
}

/** Whether a path is the directory itself or lies in it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : `${directory}${sep}`);
}

function insideDetail({ oid }: StoredTablespace): string {
  return `Tablespace ${oid} was made with allow_in_place_tablespaces and stays in pg_tblspc/${oid}.`;
}

function noSuchTablespace(which: string, stored: readonly StoredTablespace[], count: number): HoldfastError {
  const known = stored.map(({ oid, name, path }) => `${oid}${name === undefined ? '' : ` "${name}"`} at "${path}"`);
  return invalid(
    count === 0 ? `cannot find tablespace "${which}" in the snapshot` : `cannot tell which tablespace "${which}" is`,
    known.length === 0 ? 'The snapshot has no tablespaces.' : `The snapshot has tablespace ${known.join(', ')}.`,
    known.length === 0 ? ['Leave --tablespace out.'] : ['Name it by its OID.'],
  );
}

function invalid(message: string, detail: string, hints: readonly string[]): HoldfastError {
  return new HoldfastError('RESTORE_TABLESPACE_INVALID', message, { detail, hints: [...hints] });
}
