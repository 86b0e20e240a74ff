import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { listSlots, openKeys, type Repository } from '../../../repository/index.ts';
import type { ReadKit, TypedKey } from './read-kit.ts';

/** One thing that was compared. `notice`: true, and worth a new page. */
export interface KitFinding {
  readonly verdict: 'right' | 'notice' | 'wrong';
  readonly sentence: string;
}

/**
 * Compares a page, or a key that was typed from one, with the repository as it is now. `locations`: where the repository lies as the plan says.
 *
 * Errors: those of the store.
 */
export async function checkKit(
  repository: Repository,
  kit: Exclude<ReadKit, { kind: 'neither' }>,
  locations: readonly string[],
): Promise<KitFinding[]> {
  if (kit.kind === 'key') return checkKey(repository, kit.key);
  const { slots } = await listSlots(repository);
  return [
    wholeness(kit.isWhole),
    compare('repository id', kit.repository, repository.id),
    compare('SHA-256 of "format"', kit.formatSha256, repository.formatSha256),
    compare('signing key', kit.signingKey, repository.keys.publicKey.toString('hex')),
    ...comparePlaces(kit.locations, locations),
    ...compareSlots(kit.slots, slots),
    ...(kit.key === null
      ? [{ verdict: 'right', sentence: 'The page holds no key.' } as const]
      : await checkKey(repository, kit.key)),
  ];
}

function wholeness(isWhole: boolean | null): KitFinding {
  if (isWhole === true) return right('The text of the page is what its checksum says.');
  const sentence =
    isWhole === null
      ? 'The page has no checksum: a part of it is missing.'
      : 'The page was changed: its text is not what its checksum says.';
  return { verdict: 'wrong', sentence };
}

function compare(what: string, found: string | null, expected: string): KitFinding {
  if (found === expected) return right(`The ${what} is that of the repository.`);
  const said = found === null ? 'says none' : `says ${found}`;
  return {
    verdict: 'wrong',
    sentence: `The ${what} is not that of the repository: the page ${said}, and it is ${expected}.`,
  };
}

function comparePlaces(printed: readonly string[], planned: readonly string[]): KitFinding[] {
  const missing = planned.filter((location) => !printed.includes(location));
  const former = printed.filter((location) => !planned.includes(location));
  return [
    ...(missing.length === 0 ? [right('The page names every place in which the repository is kept.')] : []),
    ...missing.map((location) =>
      notice(`The page does not name a place in which the repository is kept: ${location}.`),
    ),
    ...former.map((location) => notice(`The page names a place that was not given now: ${location}.`)),
  ];
}

function compareSlots(printed: readonly string[], slots: Awaited<ReturnType<typeof listSlots>>['slots']): KitFinding[] {
  const usable = new Map(slots.map((slot) => [slot.slot, slot.state]));
  const gone = printed.filter((slot) => ['removed', undefined].includes(usable.get(slot)));
  const fresh = slots.filter(
    ({ slot, state }) => state !== 'removed' && state !== 'foreign' && !printed.includes(slot),
  );
  return [
    ...(gone.length === 0 && fresh.length === 0 ? [right('The page names the keys that open the repository.')] : []),
    ...gone.map((slot) => notice(`Key slot ${slot}, which the page names, was removed.`)),
    ...fresh.map(({ slot, label }) => notice(`Key slot ${slot} ("${label}") was added since.`)),
  ];
}

async function checkKey(repository: Repository, key: TypedKey): Promise<KitFinding[]> {
  if ('problem' in key) return [{ verdict: 'wrong', sentence: `The key cannot be read. ${key.problem}` }];
  try {
    const secret = { kind: 'key-file', bytes: key.bytes } as const;
    const opened = await openKeys(repository.store, repository.keys.repositoryId, secret);
    if (opened.leftBehind === null) return [right(`The key opens the repository, by key slot ${opened.slot}.`)];
    const sentence = `The key opens only what was stored before epoch ${opened.leftBehind}, by key slot ${opened.slot}: it was removed, or left out.`;
    return [{ verdict: 'wrong', sentence }];
  } catch (error) {
    if (!(error instanceof HoldfastError) || codeOf(error) !== 'REPOSITORY_KEY_REJECTED') throw error;
    return [{ verdict: 'wrong', sentence: 'The key does not open the repository.' }];
  }
}

function right(sentence: string): KitFinding {
  return { verdict: 'right', sentence };
}

function notice(sentence: string): KitFinding {
  return { verdict: 'notice', sentence };
}
