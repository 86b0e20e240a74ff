import { HoldfastError } from '../../lib/index.ts';
import type { QueryResult } from '../connection/index.ts';

/**
 * The one row that a replication command answers with, by column name.
 * Errors: PG_PROTOCOL_VIOLATION when there is none, PG_ROW_INVALID from the getters.
 */
export function onlyRow(results: readonly QueryResult[], command: string): ResultRow {
  const result = results.find((candidate) => candidate.rows.length > 0);
  const row = result?.rows[0];
  if (result === undefined || row === undefined) {
    throw new HoldfastError('PG_PROTOCOL_VIOLATION', `the server gave no answer to "${command}"`, {
      detail: 'Expected one row, found none.',
    });
  }
  return new ResultRow(new Map(result.columns.map((column, index) => [column.name, row[index] ?? null])), command);
}

/** A row of text values with names. */
export class ResultRow {
  readonly #values: ReadonlyMap<string, string | null>;
  readonly #command: string;

  constructor(values: ReadonlyMap<string, string | null>, command: string) {
    this.#values = values;
    this.#command = command;
  }

  textOrNull(name: string): string | null {
    return this.#values.get(name) ?? null;
  }

  text(name: string): string {
    const value = this.textOrNull(name);
    if (value !== null) return value;
    throw new HoldfastError('PG_ROW_INVALID', `the server's answer to "${this.#command}" has no "${name}"`);
  }

  integer(name: string): number {
    const value = Number(this.text(name));
    if (Number.isSafeInteger(value)) return value;
    throw new HoldfastError('PG_ROW_INVALID', `the server's answer to "${this.#command}" has an invalid "${name}"`, {
      detail: `Expected a whole number, found "${this.text(name)}".`,
    });
  }
}
