import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf, HoldfastError } from '../../lib/index.ts';
import type { Credential } from '../../repository/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { askNewPassphrase, toCredential } from '../credential.ts';
import { openPlace } from '../open-places.ts';
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
    const { generateKeyFile } = await import('../../repository/index.ts');
    const keyFileName = input.optional('generate-key-file');
    const newKeyFile = keyFileName === undefined ? undefined : resolve(keyFileName);
    const credential = await chooseCredential(context, newKeyFile);
    const primary = context.plan.repository.primary!;
    const store = await openPlace(primary, context);
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
