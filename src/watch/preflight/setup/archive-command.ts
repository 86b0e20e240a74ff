import { quoteWord } from '../check.ts';

/** How the server's own shell can start Holdfast with all that it needs. */
export interface ArchiveCommandParts {
  /** The path of the program. */
  readonly program: string;
  /** The plan's file; it says the rest. */
  readonly planFile: string | null;
  /** Otherwise flags say it, by their names without dashes; several values for one that may stand several times. */
  readonly flags: Readonly<Record<string, string | readonly string[]>>;
}

/**
 * The text for `archive_command`: words quoted for the shell, and `%` doubled wherever it is no place for a name.
 * Source: PostgreSQL manual, archive_command: `%p` is the path of the file, `%f` its name, `%%` a percent sign.
 */
export function formatArchiveCommand({ program, planFile, flags }: ArchiveCommandParts): string {
  const word = (text: string) => quoteWord(text).replaceAll('%', '%%');
  const rest = Object.entries({ ...(planFile === null ? {} : { plan: planFile }), ...flags }).flatMap(([name, given]) =>
    [given].flat().map((value) => `--${name} ${word(value)}`),
  );
  return [word(program), 'wal push "%p"', ...rest].join(' ');
}
