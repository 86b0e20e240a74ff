import { formatCount, formatQuantity } from '../lib/index.ts';
import type { HealResult } from '../prove/index.ts';
import type { Paint } from './output/index.ts';

/** Whether nothing is left of what could be looked at. */
export function isMended({ fromPlaces, index, wal }: HealResult): boolean {
  return (
    keptIn(fromPlaces).length === 0 && index.unreadable.length === 0 && wal.every(({ problem }) => problem === null)
  );
}

/** What is whole in one place, and cannot be mended in another. */
function keptIn(fromPlaces: HealResult['fromPlaces']) {
  return fromPlaces.flatMap(({ name, from, healed }) =>
    healed.filter(({ outcome }) => outcome === 'kept').map(({ place, was }) => ({ name, from, place, was })),
  );
}

/** What was mended, what could not be, and what to do next. */
export function healText({ fromPlaces, index, snapshots, copies, wal }: HealResult, paint: Paint): string[] {
  const healed = wal.filter(({ problem }) => problem === null);
  const lines = [
    ...fromPlaces.flatMap(({ name, from, healed: places }) =>
      places
        .filter(({ outcome }) => outcome !== 'kept')
        .map(({ place }) => `took ${name} from "${from}" to "${place}"`),
    ),
    ...(index.packs === 0
      ? []
      : [`named ${formatQuantity(index.packs, 'pack')} with ${formatCount(index.chunks)} chunks in the index again`]),
    ...snapshots.map((id) => `committed snapshot ${id.slice(0, 12)} again`),
    ...(copies.length === 0 ? [] : [`stored second copies of ${formatQuantity(copies.length, 'small object')}`]),
    ...healed.map(({ object }) => `stored again the WAL of ${object}`),
  ];
  return [
    ...(lines.length === 0
      ? ['There was nothing that could be mended.']
      : lines.map((line) => `${paint.good('✓')} ${line}`)),
    ...keptIn(fromPlaces).map(
      ({ name, from, place, was }) =>
        `${paint.bad('✗')} ${name} is ${was === 'damaged' ? 'damaged' : 'missing'} in "${place}", which does not ${was === 'damaged' ? 'let it be replaced' : 'take it'}; readers take it from "${from}"`,
    ),
    ...[...new Set(fromPlaces.flatMap(({ away }) => away))].map(
      (place) => `${paint.warning('!')} "${place}" did not answer: what is damaged there stays as it is`,
    ),
    ...index.unreadable.map(({ name, reason }) => `${paint.bad('✗')} ${name}  ${reason}`),
    ...wal.flatMap(({ object, problem }) => (problem === null ? [] : [`${paint.bad('✗')} ${object}  ${problem}`])),
    ...(lines.length === 0
      ? []
      : [`${paint.accent('→')} Run holdfast verify --all: it says whether all is there again.`]),
  ];
}
