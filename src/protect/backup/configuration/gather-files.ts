import { posix } from 'node:path';
import { messageOf } from '../../../lib/index.ts';
import { type ConfigurationFile, type ConfigurationFileKind, FILES_PREFIX } from './configuration.ts';
import { FILE_BYTES_MAX, type FileSource, type ReadFile } from './file-sources.ts';
import { type Inclusion, listInclusions } from './parse-includes.ts';

/** More files than any configuration has; one that includes itself over and over ends here. */
const FILES_MAX = 1_000;

/** Files of the data directory that came with the base backup, by their paths in it. */
export interface ReceivedConfiguration {
  readonly texts: ReadonlyMap<string, Buffer>;
  /** Whether the backup has the file, also where its text was not kept at hand. */
  has(path: string): boolean;
}

/** Where to begin, and with what to read. */
export interface GatherOptions {
  /** Absolute; null where the server would not say. Relative paths lie in it. */
  readonly dataDirectory: string | null;
  readonly seeds: readonly { readonly path: string; readonly kind: ConfigurationFileKind }[];
  /** Null when there is no backup to look into. */
  readonly received: ReceivedConfiguration | null;
  /** Tried in order. */
  readonly sources: readonly FileSource[];
}

/** What was found, and what could not be read, in words. */
export interface GatheredFiles {
  readonly files: readonly ConfigurationFile[];
  readonly failures: readonly { readonly path: string; readonly reason: string }[];
}

interface Wanted {
  readonly path: string;
  readonly kind: ConfigurationFileKind;
  readonly isRequired: boolean;
}

/** Reads the files of the configuration and all that they include, however deep. Throws nothing: what cannot be read is told. */
export async function gatherFiles(options: GatherOptions): Promise<GatheredFiles> {
  const files: ConfigurationFile[] = [];
  const failures: { path: string; reason: string }[] = [];
  // Each file under one name only: two that mean the same would stand in the tree twice.
  const waiting: Wanted[] = options.seeds.map(({ path, kind }) => {
    return { path: posix.normalize(path), kind, isRequired: true };
  });
  const known = new Set<string>();
  for (let wanted = waiting.shift(); wanted !== undefined && known.size < FILES_MAX; wanted = waiting.shift()) {
    const { path, kind, isRequired } = wanted;
    if (known.has(path)) continue;
    known.add(path);
    const found = await readOne(wanted, options);
    if (typeof found === 'string') failures.push({ path, reason: found });
    else if (found !== null) {
      files.push({ path, kind, treePath: treePathOf(path, options), ...found });
      for (const inclusion of listInclusions(kind, found.content.toString('utf8'))) {
        waiting.push(...(await resolveInclusion(inclusion, path, options, failures)));
      }
    } else if (isRequired) failures.push({ path, reason: 'There is no such file on the server.' });
  }
  return { files, failures };
}

/** The path in the data directory; null for a file that lies elsewhere. */
function pathInData(path: string, { dataDirectory }: GatherOptions): string | null {
  if (!path.startsWith('/')) return path;
  if (dataDirectory === null || !path.startsWith(`${dataDirectory}/`)) return null;
  return path.slice(dataDirectory.length + 1);
}

function treePathOf(path: string, options: GatherOptions): string {
  const inData = pathInData(path, options);
  const isWithData = inData !== null && options.received?.has(inData) !== false;
  return isWithData ? `data/${inData}` : `${FILES_PREFIX}${path}`;
}

/** Null when it is missing; a sentence when it cannot be read. */
async function readOne({ path, isRequired }: Wanted, options: GatherOptions): Promise<ReadFile | null | string> {
  const inData = pathInData(path, options);
  if (inData !== null && options.received !== null) {
    const content = options.received.texts.get(inData);
    if (content !== undefined) return { content, mode: 0o600, mtimeMs: 0 };
    // A backup has no symbolic links: a file behind one is there all the same, and has to be read like one that lies elsewhere.
    if (!options.received.has(inData) && !isRequired) return null;
  }
  return firstAnswer(
    path,
    options,
    (source) => source.read(path),
    (read) => {
      if (read !== null && read.content.length > FILE_BYTES_MAX) return `It is larger than ${FILE_BYTES_MAX} bytes.`;
      return read;
    },
  );
}

async function firstAnswer<Read, Answer>(
  path: string,
  options: GatherOptions,
  read: (source: FileSource) => Promise<Read>,
  judge: (read: Read) => Answer,
): Promise<Answer | string> {
  // Only the server knows where a path begins that it has not told us in full.
  if (!path.startsWith('/')) return 'The server does not say where its data directory is.';
  let reason = 'There is no way to read files of the server.';
  for (const source of options.sources) {
    try {
      return judge(await read(source));
    } catch (error) {
      reason = `It could not be read: ${messageOf(error)}.`;
    }
  }
  return reason;
}

/** Paths are relative to the file that names them. */
async function resolveInclusion(
  inclusion: Inclusion,
  from: string,
  options: GatherOptions,
  failures: { path: string; reason: string }[],
): Promise<Wanted[]> {
  const { kind, isRequired } = inclusion;
  const path = inclusion.path.startsWith('/')
    ? posix.normalize(inclusion.path)
    : posix.join(posix.dirname(from), inclusion.path);
  if (path.startsWith('..')) {
    failures.push({ path, reason: 'The server does not say where its data directory is.' });
    return [];
  }
  if (!inclusion.isDirectory) return [{ path, kind, isRequired }];
  const names = await listOne(path, options);
  if (typeof names === 'string') failures.push({ path, reason: names });
  if (typeof names === 'string' || names === null) return [];
  // As the server does: those that end in .conf and are not hidden, in the order of their bytes.
  const wanted = names.filter((name) => name.endsWith('.conf') && !name.startsWith('.')).sort();
  return wanted.map((name) => ({ path: posix.join(path, name), kind, isRequired: false }));
}

async function listOne(directory: string, options: GatherOptions): Promise<string[] | null | string> {
  const inData = pathInData(directory, options);
  if (inData !== null && options.received !== null) {
    const prefix = `${inData}/`;
    const inside = [...options.received.texts.keys()].filter((path) => path.startsWith(prefix));
    return inside.map((path) => path.slice(prefix.length)).filter((name) => !name.includes('/'));
  }
  return firstAnswer(
    directory,
    options,
    (source) => source.list(directory),
    (names) => names,
  );
}
