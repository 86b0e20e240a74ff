import type { ConfigurationGap } from '../protect/backup/index.ts';
import type { Json, Paint } from './output/index.ts';

/** What could not be kept of a configuration, for programs. */
export function gapDocument({ what, reason, mend }: ConfigurationGap): Json {
  return { what, reason, mend: [...mend] };
}

/** The same for people: what, why, and once for all of them the statements that mend it. */
export function formatGaps(
  gaps: readonly ConfigurationGap[],
  paint: Paint,
  lack: 'Not kept' | 'Not compared' = 'Not kept',
): string[] {
  const mend = [...new Set(gaps.flatMap((gap) => gap.mend))];
  return [
    ...gaps.map(({ what, reason }) => `${paint.warning('!')} ${lack}: ${what}. ${reason}`),
    ...(mend.length === 0 ? [] : [`  ${paint.accent('→')} As a superuser, run:`]),
    ...mend.map((statement) => `      ${statement}`),
  ];
}
