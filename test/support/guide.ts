import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { hurry } from './command-line.ts';

const binDirectory = fileURLToPath(new URL('../../bin/', import.meta.url));

/** A guide that hangs ends the test instead of the run. */
const GUIDE_MS_MAX = 120_000;

/** What somebody types who follows a guide. */
export interface GuideBlock {
  readonly language: 'sh' | 'sql';
  readonly text: string;
}

/** The blocks of a guide (`docs/guides/<name>.md`) that are typed, in their order. */
export async function readGuideBlocks(name: string): Promise<GuideBlock[]> {
  const guide = await readFile(new URL(`../../docs/guides/${name}.md`, import.meta.url), 'utf8');
  const found = guide.matchAll(/^```(sh|sql)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language, text]) => ({ language: language as GuideBlock['language'], text: text! }));
}

/** Runs a script as a person would type it, with `holdfast` on the path; the first command that fails ends it. */
export function runGuideShell(script: string, home: string): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const environment = { PATH: `${binDirectory}:${process.env.PATH}`, HOME: home, ...hurry };
    const options = { cwd: home, env: environment, timeout: GUIDE_MS_MAX };
    execFile('/bin/sh', ['-eu', '-c', script], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` });
    });
  });
}
