import type { AttackedPlace, AttackTestResult } from '../../prove/index.ts';
import { type Attacks, attackTestText, type IsDangerous } from '../attack-text.ts';
import type { Command, CommandContext } from '../command.ts';
import { listPlaces, openIntruderOf, openPlace } from '../open-places.ts';
import type { Json } from '../output/index.ts';

/** `holdfast repository attack-test`. */
export const repositoryAttackTest: Command = {
  path: ['repository', 'attack-test'],
  summary: "Try with a writer's own credentials what a thief of them would try, and say what succeeded.",
  details: [
    'Each attack is on an object that is made for it, or is a request that cannot succeed as it stands: nothing that is kept is touched. Some twenty small records of the test stay,',
    'locked like everything else. What a thief with the key could plant is played through in memory.',
    'It ends with 3 when something succeeded by which a backup can be lost, and when it could not be found out whether something does. On a disk it always ends so: whoever may write there may delete.',
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
        text: (paint) => attackTestText(result, knownAttacks, isDangerous, paint),
      };
    } finally {
      for (const { intruder } of places) intruder.close();
    }
  },
};

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
    inDoubt: result.inDoubt,
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

function tellAttack({ what, noticed, advice }: Attacks[keyof Attacks]): { readonly [key: string]: Json } {
  return { what, noticed, advice };
}
