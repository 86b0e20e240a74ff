/** A kind of index, each over a column of its own, so that a query tells which of them is asked. */
export type IndexKind = 'btree' | 'hash' | 'gin' | 'gist' | 'brin' | 'spgist';

/** How each kind is made. */
export const INDEXES: Readonly<Record<IndexKind, string>> = {
  btree: 'btree (n)',
  hash: 'hash (code)',
  gin: 'gin (words)',
  gist: 'gist (place)',
  brin: 'brin (day) WITH (pages_per_range = 4)',
  spgist: 'spgist (path)',
};

export const INDEX_KINDS = Object.keys(INDEXES) as IndexKind[];

/** The columns that every table has; what is altered comes behind them. */
export const COLUMNS = 'n int, code int, day int, words text[], place point, path text, body text';

/** A table that is there. */
export interface Table {
  readonly database: string;
  readonly name: string;
  /** Where its pages are: the table itself, or its partitions. */
  leaves: string[];
  readonly indexes: Set<IndexKind>;
  isLogged: boolean;
  /** How many prepared transactions have written to it, which keep others from locking it. */
  pins: number;
  /** The next number of a row. */
  next: number;
  /** Columns that were added. */
  added: number;
}

/** A transaction that waits for somebody to end it. */
export interface Prepared {
  readonly name: string;
  readonly table: Table;
}

/** Rows from a number on, as a query. `bodyBytes` beyond two thousand are stored apart from the row, as they do not get smaller. */
export function rows(from: number, count: number, options: { bodyBytes?: number; salt?: number } = {}): string {
  const { bodyBytes = 96, salt = 0 } = options;
  const pieces = Math.ceil(bodyBytes / 32);
  return `SELECT i AS n, hashint4(i) AS code, i / 10 AS day, ARRAY['w' || i % 7, 'x' || i % 101] AS words,
    point(i % 97, i % 89) AS place, md5(i::text) AS path,
    (SELECT string_agg(md5((i * ${salt + 7} + j)::text), '') FROM generate_series(1, ${pieces}) j) AS body
    FROM generate_series(${from}, ${from + count - 1}) i`;
}

export const ROW_COLUMNS = 'n, code, day, words, place, path, body';
