import { formatBytes, formatDuration, formatQuantity, type HoldfastError } from '../../lib/index.ts';
import type { Finding } from '../status.ts';
import type { CopyStatus, PlacesStatus } from './read-places.ts';

/** What is on its way is no lag: WAL is stored each second, and a copy gets it as soon as it is. */
const UNDER_WAY_MS_MAX = 60_000;
/** A copy that nothing waits for may be away for a while; after so long nobody is at work on it. */
const OPTIONAL_LAG_MS_MAX = 60 * 60_000;

/** What is to be said of the places. Pure. */
export function judgeCopies({ primary, copies }: PlacesStatus): Finding[] {
  const findings = copies.flatMap(judgeCopy);
  if (primary.error === null) return findings;
  const sentence = `The primary does not answer (${primary.description}): ${reasonOf(primary.error)}`;
  // First what mends it: for credentials that have run out nobody should move the primary.
  const advice = [
    ...primary.error.hints.slice(0, 1),
    'Nothing new can be stored until it does; what the copies hold can be restored. If it is lost, make a copy the primary (docs/guides/copies.md).',
  ].join(' ');
  return [{ severity: 'problem', code: 'primary-away', sentence, advice }, ...findings];
}

/** What is to be said of one copy. One that nothing waits for is called optional, as the same words weigh less of it. Pure. */
export function judgeCopy(copy: CopyStatus): Finding[] {
  const { name, required, state, error, comparison } = copy;
  const severity = required ? 'problem' : 'notice';
  switch (state) {
    case 'in-step':
      return [];
    case 'not-compared': {
      const sentence = `Copy "${name}" answers, and how far it is could not be told without the primary.`;
      return [{ severity: 'notice', code: 'copy-not-compared', sentence, advice: null }];
    }
    case 'foreign': {
      const advice = 'Look at its location in the plan: nothing is written there.';
      return [{ severity: 'problem', code: 'copy-foreign', sentence: upperFirst(`${error?.message}.`), advice }];
    }
    case 'away': {
      const sentence = `${called(copy)} does not answer: ${error === null ? 'nothing is known of it.' : reasonOf(error)}`;
      // First what mends it: credentials that have run out do not come back by themselves.
      const advice = [
        ...(error?.hints.slice(0, 1) ?? []),
        error?.code === 'STORE_ABSENT' && copy.canBeMade
          ? `The directory of a new copy is made by holdfast copies sync ${name} --create.`
          : `When it is back it catches up, by a running holdfast wal stream or by holdfast copies sync ${name}.`,
      ].join(' ');
      return [{ severity, code: 'copy-away', sentence, advice }];
    }
    case 'differing': {
      const count = formatQuantity(comparison?.differing.objects ?? 0, 'object');
      const sentence = `Copy "${name}" has other bytes than the primary under the names of ${count}.`;
      const advice = `Run holdfast verify --all, and with --from ${name}: they say which of the two is damaged.`;
      return [{ severity: 'problem', code: 'copy-differs', sentence, advice }, ...judgeLag(copy)];
    }
    case 'behind':
      return judgeLag(copy);
  }
}

function judgeLag(copy: CopyStatus): Finding[] {
  const { name, required, comparison, stored } = copy;
  if (comparison === null || comparison.lagMs <= UNDER_WAY_MS_MAX) return [];
  const { missing, lagMs } = comparison;
  const sentence = `${called(copy)} is ${formatDuration(lagMs)} behind: it lacks ${formatQuantity(missing.objects, 'object')}, ${formatBytes(missing.bytes)}.`;
  const severity = required || lagMs > OPTIONAL_LAG_MS_MAX ? 'problem' : 'notice';
  // A directory in which a disk should be mounted is empty, too, and would be filled in its place.
  const where = stored?.objects === 0 && copy.canBeMade ? 'It is empty: check that its disk is mounted. ' : '';
  return [{ severity, code: 'copy-behind', sentence, advice: `${where}Run holdfast copies sync ${name}.` }];
}

/** What was found is what tells a network that is down from a server that is. */
function reasonOf({ message, detail }: HoldfastError): string {
  return detail === undefined ? `${message}.` : `${message}. ${detail.split('\n')[0]}`;
}

function called({ name, required }: CopyStatus): string {
  return required ? `Copy "${name}"` : `Optional copy "${name}"`;
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What a receiver says of itself lies in the primary alone: with that away, "none is running" would make people start a second one. */
export function judgeWithoutPrimary(finding: Finding): Finding {
  if (finding.code !== 'no-receiver') return finding;
  return {
    severity: 'notice',
    code: 'receiver-untold',
    sentence: 'Whether a receiver of WAL is running could not be told without the primary.',
    advice:
      'Look at its service. One that runs keeps WAL on its own machine until the primary is back: leave it running.',
  };
}
