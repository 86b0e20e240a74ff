/** A part of a relation, as PostgreSQL keeps them apart in files. */
export type RelationFork = 'main' | 'fsm' | 'vm' | 'init';

/** One data file of a relation. */
export interface RelationSegment {
  readonly tablespace: number;
  /** 0 for what all databases share. */
  readonly database: number;
  readonly relation: number;
  readonly fork: RelationFork;
  /** From 0; each has 1 GiB unless the server was compiled otherwise. */
  readonly segment: number;
}

/** OIDs of the tablespaces that every cluster has. */
const DEFAULT_TABLESPACE = 1663;
const GLOBAL_TABLESPACE = 1664;

const PATH =
  /^(?:global|base\/(?<database>[0-9]+)|pg_tblspc\/(?<tablespace>[0-9]+)\/[^/]+\/(?<spaceDatabase>[0-9]+))\/(?<relation>[0-9]+)(?:_(?<fork>fsm|vm|init))?(?:\.(?<segment>[0-9]+))?$/;

/**
 * Reads the path of a relation's file, relative to the data directory; null for anything else, temporary relations among it.
 *
 * Shape:  'base/5/16384_fsm.1', 'global/1262', 'pg_tblspc/16400/PG_18_202506291/5/16401'.
 * Source: PostgreSQL, common/relpath.c, GetRelationPath; the segment as in storage/smgr/md.c.
 */
export function parseRelationPath(path: string): RelationSegment | null {
  const parts = PATH.exec(path)?.groups;
  if (parts === undefined) return null;
  const database = parts.database ?? parts.spaceDatabase;
  const tablespace = parts.tablespace ?? (database === undefined ? GLOBAL_TABLESPACE : DEFAULT_TABLESPACE);
  return {
    tablespace: Number(tablespace),
    database: Number(database ?? 0),
    relation: Number(parts.relation),
    fork: (parts.fork as RelationFork | undefined) ?? 'main',
    segment: Number(parts.segment ?? 0),
  };
}
