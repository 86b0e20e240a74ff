/**
 * The schema of a plan: each option once, with its type, range, default and help. A file holds what belongs together.
 *
 * A list declares things by their names; a name that stands anywhere else refers to one of them.
 */
import { z } from 'zod';
import { groupFacts, optionFacts } from '../option.ts';
import { clusterRenamed, clusters, dataSets, replicas } from './clusters.ts';
import { acceptedRisks, compliance } from './compliance.ts';
import { backup, stateDirectory, wal } from './host.ts';
import { repositoryAgeIdentity, repositoryKeyCommand, repositoryKeyFile, repositoryPassphrase } from './keys.ts';
import {
  channels,
  checklists,
  communication,
  contacts,
  drills,
  escalations,
  roles,
  routes,
  vendors,
} from './people.ts';
import { repositoryCopies, repositoryPrimary, repositoryProtect } from './places.ts';
import { functions, objectives, scenarios, schedules, thresholds } from './promises.ts';
import { application, probes, verification } from './proofs.ts';
import { retention } from './retention.ts';

export * from './clusters.ts';
export * from './host.ts';
export * from './keys.ts';
export { alarms, severities } from './people.ts';
export * from './places.ts';
export { recoveryMethods } from './promises.ts';

const nouns = {
  dataSets,
  objectives,
  functions,
  scenarios,
  schedules,
  retention,
  verification,
  thresholds,
  replicas,
  application,
  probes,
  channels,
  routes,
  contacts,
  roles,
  escalations,
  communication,
  checklists,
  drills,
  vendors,
  compliance,
  acceptedRisks,
};

/** The nouns of a plan, each read as a whole. */
export const parts = { clusters, ...nouns };

const schemaAddress = z.string().register(optionFacts, {
  help: 'Where an editor finds what a plan may say; nothing is read from there.',
  expected: 'a path or an address',
});

const repository = z
  .strictObject({
    primary: repositoryPrimary.optional(),
    copies: repositoryCopies.optional(),
    passphrase: repositoryPassphrase.optional(),
    keyFile: repositoryKeyFile.optional(),
    ageIdentity: repositoryAgeIdentity.optional(),
    keyCommand: repositoryKeyCommand.optional(),
    protect: repositoryProtect.optional(),
  })
  .register(groupFacts, { renamed: { location: { to: 'primary' } } });

/** All that a plan may say. */
export const planSchema = z
  .strictObject({
    $schema: schemaAddress.optional(),
    clusters,
    repository: repository.optional(),
    stateDirectory: stateDirectory.optional(),
    wal: wal.optional(),
    backup: backup.optional(),
    ...nouns,
  })
  .register(groupFacts, { renamed: { cluster: clusterRenamed } });

/** A plan as its file states it. */
export type Plan = z.input<typeof planSchema>;
