import { HoldfastError } from '../lib/index.ts';
import type { CommandContext, CommandInput, Flag } from './command.ts';

export const yesFlag: Flag = { flag: '--yes', help: 'Do it without asking.' };

/**
 * Shows what an act does and does not do, and asks for it. With `--yes` it is shown and done.
 *
 * Errors: `KEYS_NOT_CONFIRMED` when nobody agreed, or nobody can be asked.
 */
export async function askToChangeKeys(
  { say, terminal }: Pick<CommandContext, 'say' | 'terminal'>,
  input: Pick<CommandInput, 'isSet'>,
  { title, sentences }: { title: string; sentences: readonly string[] },
): Promise<void> {
  say((paint) => [paint.strong(title), ...sentences.map((sentence) => `  ${sentence}`), '']);
  if (input.isSet('yes')) return;
  if (terminal !== null && /^y(es)?$/i.test((await terminal.askLine('Do this? [y/N]')).trim())) return;
  throw new HoldfastError('KEYS_NOT_CONFIRMED', 'did not change the keys of the repository: nobody agreed', {
    detail: 'What would be done, and what that does not do, is shown above.',
    hints: ['Run again with --yes to do it.'],
  });
}
