import { HoldfastError } from '../lib/index.ts';
import type { CommandContext, CommandInput, Flag } from './command.ts';

export const yesFlag: Flag = { flag: '--yes', help: 'Do it without asking.' };

/** What is about to be done, and the error when nobody agrees to it. */
export interface Consent {
  readonly title: string;
  readonly sentences: readonly string[];
  readonly refusal: { readonly code: string; readonly message: string };
}

/**
 * Shows what an act does and does not do, and asks for it. With `--yes` it is shown and done.
 *
 * Errors: the refusal when nobody agreed, or nobody can be asked.
 */
export async function askConsent(
  { say, terminal }: Pick<CommandContext, 'say' | 'terminal'>,
  input: Pick<CommandInput, 'isSet'>,
  { title, sentences, refusal }: Consent,
): Promise<void> {
  say((paint) => [paint.strong(title), ...sentences.map((sentence) => `  ${sentence}`), '']);
  if (input.isSet('yes')) return;
  if (terminal !== null && /^y(es)?$/i.test((await terminal.askLine('Do this? [y/N]')).trim())) return;
  throw new HoldfastError(refusal.code, refusal.message, {
    detail: 'What would be done, and what that does not do, is shown above.',
    hints: ['Run again with --yes to do it.'],
  });
}

/** The same for changes of keys. Errors: `KEYS_NOT_CONFIRMED`. */
export function askToChangeKeys(
  context: Pick<CommandContext, 'say' | 'terminal'>,
  input: Pick<CommandInput, 'isSet'>,
  words: Pick<Consent, 'title' | 'sentences'>,
): Promise<void> {
  const code = 'KEYS_NOT_CONFIRMED';
  const refusal = { code, message: 'did not change the keys of the repository: nobody agreed' };
  return askConsent(context, input, { ...words, refusal });
}
