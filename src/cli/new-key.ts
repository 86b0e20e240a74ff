import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError, messageOf, withHint } from '../lib/index.ts';
import type { NewKey } from '../repository/index.ts';
import type { CommandContext, CommandInput, Flag } from './command.ts';
import { askNewPassphrase } from './credential.ts';
import type { Redaction } from './output/index.ts';

/** The ways to name a key that is to open the repository from now on; one of them, or a passphrase that a person types. */
export const newKeyFlags: readonly Flag[] = [
  { flag: '--generate-key-file <file>', help: 'Draw a key and write it to a new file that only you may read.' },
  { flag: '--new-key-file <file>', help: 'A key file that is there already.' },
  { flag: '--new-passphrase-file <file>', help: 'A file that holds the new passphrase.' },
  {
    flag: '--age-recipient <recipient>',
    help: 'A public key of age (age1…); may stand several times.',
    repeatable: true,
  },
  { flag: '--new-age-identity <file>', help: 'A file with an identity of age, which is tried at once.' },
  {
    flag: '--new-key-command <command>',
    help: 'A command that wraps and unwraps keys (docs/keys.md), as a line for sh.',
  },
  { flag: '--label <text>', help: 'A name for the key, shown in lists of them.' },
];

/** A key that was asked for. */
export interface ChosenKey {
  readonly key: NewKey;
  /**
   * Draws what has to be drawn, after the repository was opened, and does the change that the key is for. A key file stays although that fails:
   * its slot may be there. The error says then how to go on with it.
   */
  readonly useFor: <T>(change: () => Promise<T>) => Promise<T>;
  /** In words, to follow "opened by". */
  readonly words: string;
}

/** Errors: `USAGE_INVALID` for none or several, or a file that cannot be read. */
export async function chooseNewKey(
  context: Pick<CommandContext, 'terminal' | 'redaction'>,
  input: Pick<CommandInput, 'optional' | 'all'>,
): Promise<ChosenKey> {
  const recipients = input.all('age-recipient');
  const given = [
    ...singleFlags.filter((name) => input.optional(name) !== undefined),
    ...(recipients.length > 0 ? ['age-recipient'] : []),
  ];
  if (given.length > 1) {
    throw new HoldfastError('USAGE_INVALID', 'cannot take several new keys at once', {
      detail: `Expected one, found ${given.map((name) => `--${name}`).join(' and ')}.`,
      hints: ['Run the command once for each; of --age-recipient there may be several.'],
    });
  }
  const [name] = given;
  if (name === undefined) return askForKey(context);
  if (name === 'age-recipient') {
    return ready({ kind: 'age-recipients', recipients }, `the age identities of ${recipients.join(', ')}`);
  }
  return readFlag(context.redaction, name, input.optional(name)!);
}

const singleFlags = ['generate-key-file', 'new-key-file', 'new-passphrase-file', 'new-age-identity', 'new-key-command'];

async function readFlag(redaction: Redaction, name: string, value: string): Promise<ChosenKey> {
  const path = resolve(value);
  switch (name) {
    case 'generate-key-file':
      return { ...ready({ kind: 'key-file', path }, `the key file "${path}"`), useFor: (change) => draw(path, change) };
    case 'new-key-file':
      return ready({ kind: 'key-file', path }, `the key file "${path}"`);
    case 'new-age-identity':
      return ready({ kind: 'age-identity', path }, `the age identity in "${path}"`);
    case 'new-key-command':
      return ready({ kind: 'command', command: value }, 'the command');
    default: {
      const passphrase = await readPassphrase(path);
      redaction.add(passphrase);
      return ready({ kind: 'passphrase', passphrase }, 'the passphrase');
    }
  }
}

async function readPassphrase(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw new HoldfastError('USAGE_INVALID', `could not read the new passphrase from "${path}"`, {
      detail: `The system said: ${messageOf(error)}.`,
      hints: ['Check the path, and that you may read the file.'],
      cause: error,
    });
  }
}

async function askForKey({ terminal, redaction }: Pick<CommandContext, 'terminal' | 'redaction'>): Promise<ChosenKey> {
  if (terminal !== null) return ready(await askNewPassphrase(terminal, redaction), 'the passphrase');
  throw new HoldfastError('USAGE_INVALID', 'cannot choose a new key: none was named', {
    detail: 'Expected a new key, and nobody can be asked for a passphrase.',
    hints: [
      'Run again with --generate-key-file PATH to draw a key for hosts on which nobody types.',
      'Or with --new-passphrase-file, --age-recipient or --new-key-command.',
    ],
  });
}

function ready(key: NewKey, words: string): ChosenKey {
  return { key, words, useFor: (change) => change() };
}

async function draw<T>(path: string, change: () => Promise<T>): Promise<T> {
  const { generateKeyFile } = await import('../repository/index.ts');
  await generateKeyFile(path);
  try {
    return await change();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw withHint(error, `The key file "${path}" was written and stays: run again with --new-key-file and its path.`);
  }
}
