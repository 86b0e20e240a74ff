/** A row of a table in `docs/failure-modes.md`. */
export interface FailureMode {
  /** What goes wrong · what is done · what is seen · what may be lost · what to do · what shows it. */
  readonly cells: readonly string[];
  readonly proofs: readonly string[];
}

/** Reads every row of every table. */
export function listFailureModes(page: string): FailureMode[] {
  return page.split('\n').flatMap((line) => {
    if (!line.startsWith('| ') || line.startsWith('| what goes wrong |')) return [];
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
    const inner = cells.slice(1, -1);
    const proofs = (inner.at(-1) ?? '').split('<br>').map((proof) => proof.replace(/^`|`$/g, ''));
    return [{ cells: inner, proofs }];
  });
}
