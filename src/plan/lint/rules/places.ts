import type { LintedPlan, Occurrence, Rule } from '../finding.ts';

/** Where the repository is kept. */
export const placeRules: readonly Rule[] = [
  {
    id: 'too-few-places',
    severity: 'error',
    means: 'The repository is kept in fewer than two places.',
    why: 'Whatever takes that one away takes every backup.',
    settle: 'Add a copy in another region and under another account (repository.copies).',
    find: (plan) => {
      const places = statedPlaces(plan);
      if (places.length > 1) return [];
      const [only] = places;
      const says =
        only === undefined
          ? 'The plan names no place for the repository.'
          : 'The plan names one place for the repository, and no copy.';
      return [{ at: [only?.option ?? 'repository'], says }];
    },
  },
  {
    id: 'places-together',
    severity: 'error',
    means: 'All places of the repository lie in one bucket, or in one account of Azure.',
    why: 'They are lost together: by one key that leaks, or one account that is closed.',
    settle: 'Put a copy into another bucket of another account, best in another region.',
    find: (plan) => together(plan, (ground) => (ground === '' ? null : `inside ${ground}`)),
  },
  {
    id: 'places-on-one-host',
    severity: 'warning',
    means: 'All places of the repository are directories.',
    why: 'Where they lie in one machine or in one room they are lost with it, and whoever takes over the host takes all of them over.',
    settle: 'Put a copy into an object store; or accept it, where the directories lie in storage far from each other.',
    find: (plan) => together(plan, (ground) => (ground === '' ? 'directories' : null)),
  },
];

interface StatedPlace {
  readonly option: string;
  /** What it shares with others that are lost with it; empty for a directory. */
  readonly ground: string;
}

/** All places where they share one ground, of which `describe` says what it is, or nothing. */
function together(plan: LintedPlan, describe: (ground: string) => string | null): Occurrence[] {
  const places = statedPlaces(plan);
  const [ground, ...others] = new Set(places.map((place) => place.ground));
  if (places.length < 2 || ground === undefined || others.length > 0) return [];
  const what = describe(ground);
  const says = `The ${places.length} places of the repository are ${what}.`;
  return what === null ? [] : [{ at: places.map(({ option }) => option), says }];
}

function statedPlaces({ stated }: LintedPlan): StatedPlace[] {
  return stated
    .filter(({ path }) => /^repository\.(primary|copies\.[^.]+)\.location$/.test(path))
    .map(({ option, path, value }) => ({
      option,
      // Of what the plan does not tell, nothing is known to be shared.
      ground: typeof value === 'string' ? groundOf(value) : path,
    }));
}

function groundOf(location: string): string {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^?]*)/i.exec(location) ?? [];
  if (scheme === undefined) return '';
  const parts = rest.split('/');
  const endpoint = /[?&]endpoint=([^&]*)/.exec(location)?.[1];
  // A container of Azure lies in an account, which is what is lost.
  return `${scheme}://${parts[0]}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
}
