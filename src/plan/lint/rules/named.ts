/** Entries of a list, each with the option that it stands at. */
export function named<Entry>(list: string, entries: readonly Entry[]): { option: string; entry: Entry }[] {
  return entries.map((entry, index) => ({ option: `${list}[${index}]`, entry }));
}

/** What a rule says of each entry of a list that is as it should not be, at that entry. */
export function wherever<Entry>(
  list: string,
  entries: readonly Entry[],
  isWrong: (entry: Entry) => boolean,
  says: (entry: Entry) => string,
): { at: string[]; says: string }[] {
  return named(list, entries).flatMap(({ option, entry }) =>
    isWrong(entry) ? [{ at: [option], says: says(entry) }] : [],
  );
}
