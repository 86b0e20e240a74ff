import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Paint } from '../../../src/cli/output/index.ts';
import type { Protection } from './protection.ts';

/** What stays after a demo with `--keep`. */
export interface KeptPlace {
  readonly directory: string;
  readonly protection: Protection;
  readonly recovered: { readonly databaseUrl: string; readonly dataDirectory: string; readonly pid: number };
}

/** Writes what a shell needs to look at it, into a file that only this user may read; gives its path. */
export async function writeEnvironment({ directory, protection, recovered }: KeptPlace): Promise<string> {
  const file = join(directory, 'environment');
  const variables = {
    DATABASE_URL: recovered.databaseUrl,
    HOLDFAST_REPOSITORY: protection.location,
    HOLDFAST_PASSPHRASE_FILE: protection.passphraseFile,
    HOLDFAST_STATE_DIR: protection.stateDirectory,
  };
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'\n`);
  await writeFile(file, lines.join(''), { mode: 0o600 });
  return file;
}

/** How to connect, what lies where, and how to clean up. Commands are to be typed in the checkout. */
export function formatKept(place: KeptPlace, environmentFile: string, paint: Paint): string[] {
  const { directory, protection, recovered } = place;
  const { pid, dataDirectory } = recovered;
  const commands = [
    [`. ${environmentFile}`, 'where everything is; then'],
    ['psql "$DATABASE_URL"', 'the recovered database'],
    ['node bin/launch.mjs exec -- node examples/wishcraft/main.ts serve', 'WishCraft on it'],
    ['bin/holdfast list', 'the repository'],
  ] as const;
  const width = Math.max(...commands.map(([command]) => command.length));
  return [
    '',
    paint.strong('Kept, to look around:'),
    ...commands.map(([command, meaning]) => `  ${paint.accent(command.padEnd(width))}  ${paint.faint(meaning)}`),
    `  data of the recovered server: ${dataDirectory}`,
    `  repository: ${protection.location}`,
    '',
    paint.strong('To clean up:'),
    `  ${paint.accent(`kill -QUIT ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done; rm -rf ${directory}`)}`,
  ];
}
