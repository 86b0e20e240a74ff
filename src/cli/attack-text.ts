import { formatCount, formatQuantity } from '../lib/index.ts';
import type { AttackResult, AttackTestResult, PlayedResult } from '../prove/index.ts';
import type { Paint } from './output/index.ts';

export type Attacks = typeof import('../prove/index.ts').knownAttacks;
export type IsDangerous = typeof import('../prove/index.ts').isDangerous;

/** What `repository attack-test` says. */
export function attackTestText(
  result: AttackTestResult,
  attacks: Attacks,
  isDangerous: IsDangerous,
  paint: Paint,
): string[] {
  return [
    ...result.places.flatMap(({ place, results }) => [
      paint.title(`Place ${place}`),
      ...results.flatMap((each) => attackText(each, attacks, isDangerous(each), paint)),
      '',
    ]),
    paint.title('With the key, played through in memory'),
    ...result.played.flatMap((each) => playedText(each, attacks, paint)),
    '',
    ...verdictText(result, isDangerous, paint),
  ];
}

function verdictText(
  { places, played, inDoubt, isSafe }: AttackTestResult,
  isDangerous: IsDangerous,
  paint: Paint,
): string[] {
  if (isSafe) return [paint.good('Nothing succeeded by which a backup can be lost.')];
  const results = places.flatMap((place) => place.results);
  const doubt = `Of ${formatQuantity(results.length, 'attack')} it could not be found out about ${formatCount(inDoubt)} whether a backup can be lost by them: run it again.`;
  const hasSucceeded = results.some(isDangerous) || played.some(({ outcome }) => outcome === 'succeeded');
  return [
    ...(hasSucceeded ? [paint.bad('Whoever has these credentials can take backups away.')] : []),
    ...(inDoubt === 0 ? [] : [paint.warning(doubt)]),
  ];
}

function attackText({ id, outcome, sentence }: AttackResult, attacks: Attacks, isBad: boolean, paint: Paint): string[] {
  const { what, noticed, advice } = attacks[id];
  switch (outcome) {
    case 'denied':
      return [`${paint.good('✓ denied')}     to ${what}`];
    case 'withstood':
      return [`${paint.good('✓ withstood')}  to ${what}`, `    ${noticed}`];
    case 'inapplicable':
      return [`${paint.faint('– not here')}   to ${what}`];
    case 'not-known':
      return [`${paint.warning('? not known')}  to ${what}: ${sentence}`];
    case 'succeeded':
      return [
        `${isBad ? paint.bad('✗ succeeded') : paint.warning('! succeeded')}  to ${what}`,
        `    ${noticed}`,
        `    ${paint.accent('→')} ${advice}`,
      ];
  }
}

function playedText({ id, outcome }: PlayedResult, attacks: Attacks, paint: Paint): string[] {
  const { what, noticed } = attacks[id];
  const marks = {
    withstood: paint.good('✓ withstood'),
    noticed: paint.warning('! noticed'),
    succeeded: paint.bad('✗ succeeded'),
  };
  return [`${marks[outcome]}  to ${what}`, `    ${noticed}`];
}
