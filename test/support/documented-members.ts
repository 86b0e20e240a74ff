import { readFile } from 'node:fs/promises';

/** The members of a command's document that its section of docs/cli-json.md does not name. */
export async function findUndocumented(command: string, document: object): Promise<string[]> {
  const page = await readFile(new URL('../../docs/cli-json.md', import.meta.url), 'utf8');
  const section = page.split('\n### ').find((text) => text.startsWith(`\`${command}\`\n`)) ?? '';
  const shared = command === 'show' ? (page.split('A snapshot: ')[1] ?? '') : '';
  return Object.keys(document).filter((member) => !`${section}${shared}`.includes(`\`${member}\``));
}
