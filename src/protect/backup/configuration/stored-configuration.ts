import { z } from 'zod';
import { HoldfastError } from '../../../lib/index.ts';
import {
  type FetchChunk,
  findEntry,
  type Repository,
  readFileMap,
  type SnapshotRecord,
} from '../../../repository/index.ts';
import {
  type CollectedConfiguration,
  type ConfigurationFile,
  type ConfigurationFileKind,
  type ConfigurationGap,
  SETTINGS_PATH,
} from './configuration.ts';

/** What a snapshot's record says of the configuration that it keeps. */
export type KeptConfiguration = {
  /** How many settings are kept; null when none are. */
  readonly settings: number | null;
  readonly files: readonly {
    readonly path: string;
    readonly kind: ConfigurationFileKind;
    readonly tree: string;
    readonly bytes: number;
  }[];
  readonly gaps: readonly ConfigurationGap[];
};

/** A record stays small whatever a server includes; all files are in the tree. */
const LISTED_MAX = 500;

const text = z.string().nullable();
const storedSettings = z.object({
  version: z.literal(1),
  settings: z.array(
    z.object({
      ...{ name: z.string(), setting: text, unit: text, source: z.string() },
      ...{ sourceFile: text, sourceLine: z.number().nullable(), bootValue: text, pendingRestart: z.boolean() },
    }),
  ),
  fileSettings: z
    .array(
      z.object({
        ...{ sourceFile: text, sourceLine: z.number().nullable(), name: text, setting: text },
        ...{ applied: z.boolean(), error: text },
      }),
    )
    .nullable(),
});

const keptConfiguration = z.object({
  settings: z.number().nullable(),
  files: z.array(
    z.object({
      ...{ path: z.string(), kind: z.enum(['settings', 'hba', 'ident', 'names']) },
      ...{ tree: z.string(), bytes: z.number() },
    }),
  ),
  gaps: z.array(z.object({ what: z.string(), reason: z.string(), mend: z.array(z.string()) })),
});

/** The settings as they are stored; null when there are none to store. */
export function encodeSettings({ settings, fileSettings }: CollectedConfiguration): Buffer | null {
  if (settings === null) return null;
  return Buffer.from(JSON.stringify({ version: 1, settings, fileSettings }), 'utf8');
}

/** What the snapshot's record shall say of it. */
export function describeKept(collected: CollectedConfiguration): KeptConfiguration {
  const { settings, files, gaps } = collected;
  return {
    settings: settings?.length ?? null,
    files: files.slice(0, LISTED_MAX).map(({ path, kind, treePath, content }) => {
      return { path, kind, tree: treePath, bytes: content.length };
    }),
    gaps: gaps.slice(0, LISTED_MAX),
  };
}

/** What a snapshot's record says; null for one that was taken before configurations were kept. */
export function keptFrom(record: SnapshotRecord): KeptConfiguration | null {
  return keptConfiguration.safeParse(record.details.configuration).data ?? null;
}

/**
 * The configuration that a snapshot keeps, read from its tree.
 *
 * Errors: CONFIGURATION_NOT_KEPT for a snapshot of a version that kept none; CHUNK_DAMAGED, CHUNK_ABSENT, TREE_INVALID; those of the store.
 */
export async function readConfiguration(
  repository: Repository,
  record: SnapshotRecord,
): Promise<CollectedConfiguration> {
  const kept = keptFrom(record);
  if (kept === null) throw notKept(record);
  const index = await repository.loadIndex();
  try {
    const { readChunk } = repository.openChunkReader(index);
    const stored = await readFile(record, SETTINGS_PATH, readChunk);
    const { settings, fileSettings } =
      stored === null
        ? { settings: null, fileSettings: null }
        : storedSettings.parse(JSON.parse(stored.content.toString('utf8')));
    const files: ConfigurationFile[] = [];
    for (const { path, kind, tree } of kept.files) {
      const found = await readFile(record, tree, readChunk);
      if (found !== null) files.push({ path, kind, treePath: tree, ...found });
    }
    return { settings, fileSettings, files, gaps: kept.gaps };
  } finally {
    index.close();
  }
}

async function readFile(
  record: SnapshotRecord,
  path: string,
  readChunk: FetchChunk,
): Promise<Pick<ConfigurationFile, 'content' | 'mode' | 'mtimeMs'> | null> {
  const entry = await findEntry(record.tree.root, path, readChunk);
  if (entry?.type !== 'file') return null;
  const parts: Buffer[] = [];
  for await (const map of readFileMap(entry, readChunk)) {
    for (const extent of map.extents) {
      if (extent.form === 'zero') parts.push(Buffer.alloc(extent.length));
      else parts.push((await readChunk(extent.id)).subarray(extent.offset, extent.offset + extent.length));
    }
  }
  return { content: Buffer.concat(parts), mode: entry.mode, mtimeMs: entry.mtimeMs };
}

function notKept(record: SnapshotRecord): HoldfastError {
  return new HoldfastError('CONFIGURATION_NOT_KEPT', `snapshot "${record.id.slice(0, 12)}" keeps no configuration`, {
    detail: 'It was taken by a version that did not keep the settings of the server.',
    hints: ['Choose a newer snapshot.'],
  });
}
