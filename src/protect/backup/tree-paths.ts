/** The path in our tree of a file of the server's: tablespaces lie under `pg_tblspc/<oid>/` there and under `space/<oid>/` here. */
export function treePathOf(serverPath: string): string {
  const tablespace = /^pg_tblspc\/([0-9]+)\/(.*)$/.exec(serverPath);
  return tablespace === null ? `data/${serverPath}` : `space/${tablespace[1]}/${tablespace[2]}`;
}

/** Reverses `treePathOf`; null for what is no file of the data directory or of a tablespace. */
export function serverPathOf(treePath: string): string | null {
  if (treePath.startsWith('data/')) return treePath.slice('data/'.length);
  return treePath.startsWith('space/') ? `pg_tblspc/${treePath.slice('space/'.length)}` : null;
}
