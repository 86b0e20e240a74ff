import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';

/** Where a value lies that must not stand in a plan: in a variable, in a file, or in what a command prints. */
export type Reference =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly command: string | readonly string[] };

/** The three forms, exactly one name each. A new schema each time, as what is registered of a schema holds wherever it is used. */
export const reference = () =>
  z.union([
    z.strictObject({ env: z.string().min(1) }),
    z.strictObject({ file: z.string().min(1) }),
    z.strictObject({ command: z.union([z.string().min(1), z.array(z.string()).min(1)]) }),
  ]);

const referenceSchema = reference();

export function isReference(value: unknown): value is Reference {
  return referenceSchema.safeParse(value).success;
}

/** A text or a reference to one: for what is no secret in itself but differs between machines. A new schema each time, too. */
export const textOrReference = () => z.union([z.string().min(1), referenceSchema]);

/** Long enough for a password manager that asks a server, short enough to notice one that waits for a person. */
const commandWaitMsMax = 30_000;
/** A secret or a connection string is short; more than this is the wrong file. */
const valueBytesMax = 65_536;

/** A value, or one whole sentence on why there is none. The sentence never holds any of what was read. */
export type ReferenceOutcome = { readonly value: string } | { readonly problem: string };

/**
 * Follows a reference. One line end at the end of a file or of a command's output is not part of the value.
 * `directory` is what relative file names start from, and where a command runs; one given as a single text runs in `sh`.
 */
export async function followReference(
  reference: Reference,
  environment: Readonly<Record<string, string | undefined>>,
  directory: string,
): Promise<ReferenceOutcome> {
  if ('env' in reference) {
    const value = environment[reference.env];
    if (value === undefined || value === '')
      return { problem: `The environment variable ${reference.env} is not set.` };
    return { value };
  }
  if ('file' in reference) return await followFile(resolve(directory, reference.file));
  return await followCommand(reference.command, environment, directory);
}

/** A reference in the words of a plan, to say where a value was read. */
export function describeReference(reference: Reference): string {
  if ('env' in reference) return `environment variable ${reference.env}`;
  if ('file' in reference) return `file "${reference.file}"`;
  return 'the output of a command';
}

async function followFile(path: string): Promise<ReferenceOutcome> {
  try {
    const content = await readFile(path);
    if (content.length > valueBytesMax) {
      return { problem: `The file "${path}" holds ${content.length} bytes, which is too much for a value.` };
    }
    return withoutLineEnd(content.toString('utf8'), `The file "${path}"`);
  } catch (error) {
    return { problem: `The file "${path}" could not be read: ${reasonOf(error)}.` };
  }
}

function followCommand(
  command: string | readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  directory: string,
): Promise<ReferenceOutcome> {
  const [program, ...words] = typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
  return new Promise((done) => {
    const options = { cwd: directory, env: environment, timeout: commandWaitMsMax, maxBuffer: valueBytesMax };
    const child = execFile(program!, words, options, (error, output) => {
      if (error === null) return done(withoutLineEnd(output, 'The output of the command'));
      // Neither its output nor its messages are repeated: both may hold the secret. Only the name of the program is told.
      if (error.killed)
        return done({ problem: `The command "${program}" gave no answer within ${commandWaitMsMax / 1000} s.` });
      const how = typeof error.code === 'number' ? `exit code ${error.code}` : `${error.code ?? error.signal}`;
      done({ problem: `The command "${program}" failed with ${how}.` });
    });
    // A command that asks a question gets no answer, and so ends instead of waiting.
    child.stdin?.end();
  });
}

function withoutLineEnd(text: string, place: string): ReferenceOutcome {
  const value = text.replace(/\r?\n$/, '');
  return value === '' ? { problem: `${place} is empty.` } : { value };
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (
    { ENOENT: 'it does not exist', EACCES: 'permission denied', EISDIR: 'it is a directory' }[String(code)] ??
    String(code)
  );
}
