import { type Check, checksOf, setParameter } from './check.ts';
import type { ServerFacts } from './server-facts.ts';

const { ok, unseen, warning } = checksOf('server');

/** From this major on a server can tell what changed since a backup. */
const INCREMENTS_MAJOR_MIN = 17;

/** Judges whether backups can be increments. Nothing is said of a server that is too old for them. Pure. */
export function judgeIncrements({ version, settings }: Pick<ServerFacts, 'version' | 'settings'>): Check[] {
  if (version.major < INCREMENTS_MAJOR_MIN) return [];
  const code = 'summarize-wal';
  const value = settings.get('summarize_wal')?.value;
  if (value === undefined) return [unseen(code, 'The server did not say what summarize_wal is.')];
  if (value === 'on') return [ok(code, 'The server notes what changes, so that a backup reads only that.')];
  return [
    warning(code, `summarize_wal is ${value}: every backup reads everything.`, {
      found: value,
      expected: 'on',
      why: 'Backups that read everything take longer, so that fewer are taken, and a restore has more WAL to replay.',
      mends: setParameter('summarize_wal', 'on'),
    }),
  ];
}
