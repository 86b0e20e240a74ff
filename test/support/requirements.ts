/** A row of docs/requirements.md: its number and whatever is said to prove it, which is nothing for `nothing yet`. */
export interface Requirement {
  number: number;
  proofs: string[];
}

/** Reads every row that begins with a number. */
export function listRequirements(table: string): Requirement[] {
  return table.split('\n').flatMap((line) => {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
    const number = /^R(\d+)$/.exec(cells[1] ?? '')?.[1];
    return number === undefined ? [] : [{ number: Number(number), proofs: readProofs(cells[3] ?? '') }];
  });
}

function readProofs(cell: string): string[] {
  if (cell === 'nothing yet') return [];
  return cell.split('<br>').map((proof) =>
    proof
      .replace(/\(in part\)\s*$/, '')
      .replaceAll('`', '')
      .trim(),
  );
}

/** Why what a proof names is not there, `undefined` when it is. `read` gives a file of the checkout. */
export function whyNotThere(proof: string, read: (path: string) => string | undefined): string | undefined {
  const [path, ...titles] = proof.split(' › ') as [string, ...string[]];
  if (path.endsWith('.test.ts')) return whyNoTest(path, titles, read);
  const script = /^npm (?:run (?:-s )?)?(\S+)/.exec(proof)?.[1];
  if (script !== undefined) return whyNoScript(script, read);
  const command = /^(?:bin\/)?holdfast ([a-z]+(?: [a-z]+)*)/.exec(proof)?.[1];
  if (command !== undefined) {
    const file = `src/cli/commands/${command.replaceAll(' ', '-')}.ts`;
    return read(file) === undefined ? `there is no ${file}` : undefined;
  }
  return 'it is neither a test nor a command';
}

function whyNoTest(path: string, titles: string[], read: (path: string) => string | undefined): string | undefined {
  const source = read(path);
  if (source === undefined) return 'there is no such file';
  if (titles.length === 0) return 'it names no test of the file';
  const known = new Set(
    [...source.matchAll(/\b(?:it|test|describe)\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*)\1/g)].map((match) =>
      (match[2] as string).replaceAll(/\\(.)/g, '$1'),
    ),
  );
  const missing = titles.find((title) => !known.has(title));
  return missing === undefined ? undefined : `the file has no test "${missing}"`;
}

function whyNoScript(script: string, read: (path: string) => string | undefined): string | undefined {
  const { scripts } = JSON.parse(read('package.json') ?? '{}') as { scripts?: Record<string, string> };
  return scripts?.[script] === undefined ? `package.json has no script "${script}"` : undefined;
}
