import type { DisasterName } from './options.ts';

/** What the WishCraft plan promises for a scenario. */
export interface Objectives {
  readonly name: string;
  readonly rtoSeconds: number;
  readonly rpoSeconds: number;
}

/** The plan's fifth and first scenario. */
export const scenarioObjectives: Record<DisasterName, Objectives> = {
  'dropped-table': { name: 'scenario 5, data corruption', rtoSeconds: 3_600, rpoSeconds: 3_600 },
  'database-failure': { name: 'scenario 1, database failure', rtoSeconds: 1_800, rpoSeconds: 300 },
};

/** The plan's first two lines: whatever happens, less than an hour of outage and less than a quarter of an hour of loss. */
export const overallObjectives: Objectives = { name: 'overall', rtoSeconds: 3_600, rpoSeconds: 900 };
