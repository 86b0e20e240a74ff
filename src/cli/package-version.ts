import { readFileSync } from 'node:fs';

/** From the package's own file, which lies at the same place seen from the sources and from what is built of them. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
