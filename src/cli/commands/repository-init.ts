import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf, HoldfastError } from '../../lib/index.ts';
import type { Credential } from '../../repository/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { askNewPassphrase, toCredential } from '../credential.ts';
import { openPlace, openPlaceList } from '../open-places.ts';
import { formatFacts } from '../output/index.ts';

/** `holdfast repository init`. */
export const repositoryInit: Command = {
  path: ['repository', 'init'],
  summary: 'Create a repository.',
  details: [
    'Whoever holds the passphrase or the key file can read everything; without either nothing can be read ever again.',
    'Keep it in a second place that does not depend on this machine.',
    'The place is tried first with two small objects, which are removed again; one that would not keep what is stored there is refused.',
  ],
  examples: [
    {
      line: 'holdfast repository init --repository /backups/shop --generate-key-file ~/holdfast.key',
      does: 'A repository, and a key file that opens it.',
    },
  ],
  access: 'create',
  database: 'none',
  flags: [
    {
      flag: '--generate-key-file <file>',
      help: 'Draw a key, write it to a new file that only you may read, and open the repository with it.',
    },
    { flag: '--label <text>', help: 'A name for the passphrase or key, shown in lists of them.' },
  ],
  run: async (context, input) => {
    const { createRepository } = await import('../../protect/keys/index.ts');
    const { KnownPlaces } = await import('../../ledger/index.ts');
    const { generateKeyFile } = await import('../../repository/index.ts');
    const keyFileName = input.optional('generate-key-file');
    const newKeyFile = keyFileName === undefined ? undefined : resolve(keyFileName);
    const credential = await chooseCredential(context, newKeyFile);
    const primary = context.plan.repository.primary!;
    const store = await openPlace(primary, context);
    await refuseWhereCopiesHaveOne(context);
    if (newKeyFile !== undefined) await generateKeyFile(newKeyFile);
    const label = input.optional('label');
    let hasBegun = false;
    const repository = await createRepository({
      store,
      credential,
      clock: context.clock,
      stateDirectory: context.plan.stateDirectory,
      onBegin: () => {
        hasBegun = true;
      },
      ...(label === undefined ? {} : { label }),
    }).catch(async (error: unknown) => {
      // The place was refused, so the new key opens nothing; left behind, it would be in the way of the next try.
      const isRefused = !hasBegun || codeOf(error) === 'REPOSITORY_EXISTS';
      if (newKeyFile !== undefined && isRefused) await rm(newKeyFile);
      throw error;
    });
    const { id, format } = repository;
    // Whoever creates one means it, whatever was at the address before.
    await new KnownPlaces(context.plan.stateDirectory).replace(primary.location, id);
    await repository.close();
    const keyFile = credential.kind === 'key-file' ? credential.path : null;
    return {
      json: { repository: id, location: primary.location, createdAt: format.createdAt, keyFile },
      text: (paint) => [
        `${paint.good('created')} repository ${paint.strong(id)}`,
        ...formatFacts(
          [
            ['location', store.description],
            ['opened by', keyFile === null ? 'the passphrase' : `the key file "${keyFile}"`],
          ],
          paint,
        ),
        '',
        ...(context.plan.repository.copies.length === 0
          ? []
          : [
              `Next, make its copies: ${paint.strong('holdfast copies sync')} (with --create for directories that are not there yet).`,
              '',
            ]),
        paint.warning(
          `Keep ${keyFile === null ? 'the passphrase' : 'a copy of the key file'} where this machine's loss cannot reach it: without it no backup can be read.`,
        ),
      ],
    };
  },
};

/**
 * A primary that is lost, or whose disk is not mounted, looks like a place for a new repository; the copies tell that there was one. What they hold
 * would be of another repository from then on.
 */
async function refuseWhereCopiesHaveOne(context: CommandContext): Promise<void> {
  if (context.plan.repository.copies.length === 0) return;
  const { whyAway } = await import('../../repository/index.ts');
  const [primary, ...copies] = await openPlaceList(context.plan, context, null);
  // One that is there already is told by its own error.
  if ((await whyAway(primary!.store)) === null) return;
  for (const { name, store } of copies) {
    if ((await whyAway(store)) !== null) continue;
    throw new HoldfastError('REPOSITORY_EXISTS', `cannot create a repository: copy "${name}" holds one already`, {
      detail: `Expected copies that are empty, found a repository in ${store.description}.`,
      hints: [
        'If the primary is away, bring it back: mount its disk, or check its address.',
        'If the primary is lost, make this copy the primary in the plan: docs/guides/copies.md says how.',
        'If the new repository has nothing to do with it, name other copies, or none.',
      ],
    });
  }
}

/** Nothing is made up silently: a credential was given, a key file is asked for by name, or a person types a passphrase. */
async function chooseCredential(context: CommandContext, newKeyFile: string | undefined): Promise<Credential> {
  const given = context.plan.repository.credential;
  if (newKeyFile !== undefined) {
    // Who has said already where the key file will be may still ask for it to be made.
    const isTheSame = given?.kind === 'key-file' && resolve(given.path) === resolve(newKeyFile);
    if (given === null || isTheSame) return { kind: 'key-file', path: newKeyFile };
    throw new HoldfastError('USAGE_INVALID', 'cannot generate a key file: another credential is given as well', {
      detail: `Expected no credential besides --generate-key-file, found a ${given.kind === 'key-file' ? 'key file' : 'passphrase'}.`,
      hints: ['Leave out one of the two.'],
    });
  }
  if (given !== null) return toCredential(given, context.redaction);
  if (context.terminal !== null) return await askNewPassphrase(context.terminal, context.redaction);
  throw new HoldfastError('USAGE_INVALID', 'cannot create a repository without a passphrase or a key', {
    detail: 'Every repository is encrypted; none was given, and nobody can be asked for one.',
    hints: [
      'Run again with --generate-key-file PATH to draw a key for hosts on which nobody types.',
      'Or give a passphrase with --passphrase-file, HOLDFAST_PASSPHRASE or HOLDFAST_PASSPHRASE_FILE.',
    ],
  });
}
