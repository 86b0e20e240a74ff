/** How an application name stands in `synchronous_standby_names`. */
export type SynchronousMention = 'named' | 'wildcard' | 'none';

/**
 * Looks for an application name in the server's setting.
 *
 * Shape:  names separated by commas, perhaps as `FIRST n (…)`, `ANY n (…)` or `n (…)`; a name is bare or in double quotes (a quote inside is
 *         doubled); `*` is every standby. Names are compared without regard to case.
 * Source: PostgreSQL manual, synchronous_standby_names; syncrep_gram.y, SyncRepGetStandbyPriority.
 */
export function findInSynchronousNames(setting: string, applicationName: string): SynchronousMention {
  const list = /^\s*(?:(?:FIRST|ANY)\s+)?[0-9]+\s*\((.*)\)\s*$/is.exec(setting)?.[1] ?? setting;
  const names = [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,"]+)/g)].map(([, quoted, bare]) => ({
    text: quoted === undefined ? bare! : quoted.replaceAll('""', '"'),
    isWildcard: bare === '*' || quoted === '*',
  }));
  const wanted = applicationName.toLowerCase();
  if (names.some((name) => name.text.toLowerCase() === wanted)) return 'named';
  return names.some((name) => name.isWildcard) ? 'wildcard' : 'none';
}
