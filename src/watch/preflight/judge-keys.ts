import { advice, type Check, checksOf, quoteWord, shell } from './check.ts';
import type { KeysFacts } from './keys-facts.ts';

const { ok, unseen, warning, problem } = checksOf('keys');

/** Judges whether the repository opens, and whether it still will when something is lost. Pure. */
export function judgeKeys(facts: KeysFacts): Check[] {
  return [judgeOpening(facts), ...judgeSlots(facts), ...judgeSource(facts)];
}

function judgeOpening({ opening }: KeysFacts): Check {
  switch (opening.kind) {
    case 'unseen':
      return unseen('repository-opens', `Whether the repository opens could not be tried: ${opening.why}.`);
    case 'opened':
      return ok('repository-opens', 'The repository opens.');
    case 'refused':
      return problem('repository-opens', 'The repository does not open.', {
        found: opening.sentence,
        expected: 'a repository that this key opens',
        why: 'Without its key nothing in it can be read ever again, and nothing can be stored.',
        mends:
          opening.code === 'REPOSITORY_ABSENT' || opening.code === 'REPOSITORY_HALF_CREATED'
            ? [shell('holdfast repository init')]
            : opening.hints.map(advice),
      });
  }
}

function judgeSlots({ opening, source }: KeysFacts): Check[] {
  if (opening.kind !== 'opened')
    return [unseen('key-slots', 'How many keys open the repository could not be looked at.')];
  const { slots, damaged } = opening;
  const checks: Check[] = [];
  if (damaged.length > 0) {
    checks.push(
      problem('key-slots-damaged', 'A key slot of the repository cannot be read.', {
        found: damaged.join(', '),
        expected: 'slots that can be read',
        why: 'Whoever holds only that key is locked out.',
        mends: [advice('Put these objects back from a copy of the repository.')],
      }),
    );
  }
  if (slots.length > 1) return [...checks, ok('key-slots', `${slots.length} keys open the repository.`)];
  const what = source.kind === 'key-file' ? `the key file "${source.file.path}"` : 'the passphrase';
  checks.push(
    warning('key-slots', 'One single key opens the repository.', {
      found: '1 key slot',
      expected: 'a second key that is kept elsewhere, or a copy of this one',
      why: 'When this host is lost with its only key, every backup is lost with it.',
      mends: [advice(`Keep a copy of ${what} where the loss of this host cannot reach it.`)],
    }),
  );
  return checks;
}

function judgeSource({ source, repositoryDirectory }: KeysFacts): Check[] {
  switch (source.kind) {
    case 'none':
      return [unseen('key-source', 'No key was given.')];
    case 'passphrase':
      return [
        ok('key-source', 'The key is a passphrase; hosts on which nobody types are better served by a key file.'),
      ];
    case 'key-file':
    case 'passphrase-file': {
      const name = source.kind === 'key-file' ? 'key file' : 'passphrase file';
      const { path, mode } = source.file;
      return [judgeFileMode(name, path, mode), judgeFilePlace(name, path, repositoryDirectory)];
    }
  }
}

function judgeFileMode(name: string, path: string, mode: number | null): Check {
  if (mode === null) return unseen('key-file-mode', `The ${name} "${path}" could not be looked at.`);
  if ((mode & 0o077) === 0) return ok('key-file-mode', `Only its owner can read the ${name} "${path}".`);
  return problem('key-file-mode', `Others can read the ${name} "${path}".`, {
    found: `mode ${(mode & 0o777).toString(8)}`,
    expected: 'mode 600',
    why: 'Whoever reads it can read every backup.',
    mends: [shell(`chmod 600 ${quoteWord(path)}`)],
  });
}

function judgeFilePlace(name: string, path: string, directory: string | null): Check {
  if (directory === null || !path.startsWith(`${directory}/`)) {
    return ok('key-file-place', `The ${name} does not lie in the repository.`);
  }
  return problem('key-file-place', `The ${name} lies in the repository that it opens.`, {
    found: path,
    expected: `a place outside "${directory}"`,
    why: 'Whoever gets the repository gets its key, and whoever loses one loses both.',
    mends: [advice(`Move "${path}" to another place, and name that with --key-file or HOLDFAST_KEY_FILE.`)],
  });
}
