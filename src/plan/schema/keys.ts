import { z } from 'zod';
import { optionFacts } from '../option.ts';
import { reference } from '../reference.ts';

export const repositoryPassphrase = reference().register(optionFacts, {
  help: 'The passphrase that opens the repository.',
  expected: '{ env }, { file } or { command }, never the passphrase itself',
  secret: true,
  flag: '--passphrase-file <file>',
  environment: [
    { name: 'HOLDFAST_PASSPHRASE', as: 'reference' },
    { name: 'HOLDFAST_PASSPHRASE_FILE', as: 'file' },
  ],
  fromText: (file) => ({ file }),
});

export const repositoryKeyFile = z
  .string()
  .min(1)
  .register(optionFacts, {
    help: 'File with the key that opens the repository, for hosts on which nobody types.',
    expected: 'a path',
    flag: '--key-file <file>',
    environment: [{ name: 'HOLDFAST_KEY_FILE', as: 'value' }],
    isPath: true,
  });

export const repositoryAgeIdentity = z
  .string()
  .min(1)
  .register(optionFacts, {
    help: 'File with an identity of age (X25519) that opens the repository.',
    expected: 'a path',
    flag: '--age-identity <file>',
    environment: [{ name: 'HOLDFAST_AGE_IDENTITY', as: 'value' }],
    isPath: true,
  });

export const repositoryKeyCommand = z.union([z.string().min(1), z.array(z.string()).min(1)]).register(optionFacts, {
  help: 'Command that opens the repository by asking a key service: called with wrap or unwrap, bytes in and out.',
  expected: 'a program with its words, or one line for sh; docs/keys.md has the protocol',
  flag: '--key-command <command>',
  environment: [{ name: 'HOLDFAST_KEY_COMMAND', as: 'value' }],
});
