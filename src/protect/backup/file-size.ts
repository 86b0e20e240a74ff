import { z } from 'zod';
import type { SnapshotRecord } from '../../repository/index.ts';

/** As SHOW segment_size tells the size at which nearly every server cuts the files of relations; only `configure --with-segsize` makes it another. */
const USUAL_SIZE = '1GB';

/**
 * Why what is said of blocks cannot be told from the files of a server, as a sentence without its full stop; null where it can. Increments and
 * comparisons count the blocks of a relation on from one file to the next, and do so for files of 1 GiB.
 *
 * `settings` are those that are kept of the server. An older version did not keep this one, and then the usual size is assumed.
 */
export function whyNoBlockNumbers(settings: { readonly segment_size?: string }): string | null {
  const { segment_size: size = USUAL_SIZE } = settings;
  return size === USUAL_SIZE ? null : `the server was built to cut the files of relations at ${size}, not at 1 GiB`;
}

/** The same of the server of a snapshot. */
export function whyNoBlockNumbersOf({ details }: SnapshotRecord): string | null {
  return whyNoBlockNumbers(keptSettings.safeParse(details.settings).data ?? {});
}

const keptSettings = z.object({ segment_size: z.string() });
