import { Secret } from '../lib/index.ts';
import type { Need, Reading } from './reading.ts';
import type { ResolvedPlan } from './resolved-plan.ts';
import * as schema from './schema/clusters.ts';

/** What a cluster is called where neither the plan nor anybody else names one. */
const nameByDefault = 'main';

/**
 * The cluster that a command is about: the one that a flag or a variable names, otherwise the only one of the plan.
 *
 * The connection that the plan has for a cluster serves that cluster only: under another name it would reach the wrong server.
 */
export async function readCluster(reading: Reading, need: Need | undefined): Promise<ResolvedPlan['cluster']> {
  const inPlan = reading.readPart(schema.clusters);
  const chosen = reading.readIfGiven(schema.chosenName);
  const index = chosen === null ? (inPlan.length === 1 ? 0 : -1) : inPlan.findIndex(({ name }) => name === chosen);
  const cluster = inPlan[index] ?? null;
  const source = reading.sourceOf(schema.clusters.unwrap());
  const nameSource = chosen === null ? (cluster === null ? null : source) : reading.sourceOf(schema.chosenName);
  return {
    name: chosen ?? cluster?.name ?? nameByDefault,
    nameOrigin: nameSource?.origin ?? null,
    connection: await readConnection(),
  };

  async function readConnection(): Promise<Secret | null> {
    if (need === undefined) return null;
    if (chosen === null && inPlan.length > 1) return refuseToGuess();
    if (!reading.isGiven(schema.chosenConnection)) {
      // What is wrong with the plan's clusters was said already.
      if (source === null && reading.isGiven(schema.clusters.unwrap())) return null;
      const connection = cluster?.connection ?? null;
      const given = source === null ? null : { ...source, at: `${source.at}[${index}].connection` };
      if (connection !== null && given !== null) {
        return toSecret(await reading.followValue(connection, given, need, false));
      }
    }
    return toSecret(await reading.follow(schema.chosenConnection, need));
  }

  function refuseToGuess(): null {
    if (need !== 'required') return null;
    const names = inPlan.map(({ name }) => `"${name}"`).join(', ');
    reading.complain(
      schema.chosenName,
      `Expected the name of one, as the plan has ${names}. Give --cluster or HOLDFAST_CLUSTER.`,
    );
    return null;
  }
}

function toSecret(text: string | null): Secret | null {
  return text === null ? null : new Secret(text);
}
