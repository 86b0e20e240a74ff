import type { AttackedPlace, AttackResult, AttackTestResult, PlayedResult } from '../../prove/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { listPlaces, openIntruderOf, openPlace } from '../open-places.ts';
import type { Json, Paint } from '../output/index.ts';

/** `holdfast repository attack-test`. */
export const repositoryAttackTest: Command = {
  path: ['repository', 'attack-test'],
  summary: "Try with a writer's own credentials what a thief of them would try, and say what succeeded.",
  details: [
    'Each attack is on an object that is made for it, or is a request that cannot succeed as it stands: nothing that is kept is touched. Some twenty small records of the test stay,',
    'locked like everything else. What a thief with the key could plant is played through in memory.',
    'It ends with 3 when something succeeded by which a backup can be lost. On a disk that is always so: whoever may write there may delete.',
  ],
  examples: [
    {
      line: 'holdfast repository attack-test',
      does: 'Attack every place of the repository with the credentials at hand.',
    },
  ],
  access: 'write',
  database: 'none',
  run: async (context) => {
    const { isDangerous, knownAttacks, runAttackTest } = await import('../../prove/index.ts');
    const { repository, plan, progress, signal } = context;
    const places = await openForAttack(context);
    try {
      const result = await runAttackTest({
        ...{ repository, places, progress, signal },
        stateDirectory: plan.stateDirectory,
      });
      return {
        reason: result.isSafe ? 'done' : 'problemFound',
        json: resultDocument(result, knownAttacks, isDangerous),
        text: (paint) => resultText(result, knownAttacks, isDangerous, paint),
      };
    } finally {
      for (const { intruder } of places) intruder.close();
    }
  },
};

type Attacks = typeof import('../../prove/index.ts').knownAttacks;

async function openForAttack(context: CommandContext): Promise<AttackedPlace[]> {
  const opened: AttackedPlace[] = [];
  for (const place of listPlaces(context.plan.repository)) {
    opened.push({
      name: place.name,
      intruder: await openIntruderOf(place, context),
      // A store remembers which version counts, so that each look is by one that has just been opened.
      open: () => openPlace(place, context),
    });
  }
  return opened;
}

function resultDocument(
  result: AttackTestResult,
  attacks: Attacks,
  isDangerous: IsDangerous,
): { readonly [key: string]: Json } {
  return {
    safe: result.isSafe,
    places: result.places.map(({ place, results }) => ({
      place,
      attacks: results.map((each) => ({
        ...{ attack: each.id, outcome: each.outcome, dangerous: isDangerous(each), sentence: each.sentence },
        ...tellAttack(attacks[each.id]),
      })),
    })),
    played: result.played.map(({ id, outcome }) => ({ attack: id, outcome, ...tellAttack(attacks[id]) })),
  };
}

type IsDangerous = typeof import('../../prove/index.ts').isDangerous;

function tellAttack({ what, noticed, advice }: Attacks[keyof Attacks]): { readonly [key: string]: Json } {
  return { what, noticed, advice };
}

function resultText(result: AttackTestResult, attacks: Attacks, isDangerous: IsDangerous, paint: Paint): string[] {
  return [
    ...result.places.flatMap(({ place, results }) => [
      paint.title(`Place ${place}`),
      ...results.flatMap((each) => attackText(each, attacks, isDangerous(each), paint)),
      '',
    ]),
    paint.title('With the key, played through in memory'),
    ...result.played.flatMap((each) => playedText(each, attacks, paint)),
    '',
    result.isSafe
      ? paint.good('Nothing succeeded by which a backup can be lost.')
      : paint.bad('Whoever has these credentials can take backups away.'),
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
