import { formatQuantity } from '../lib/index.ts';
import type { Finding, FindingPlace } from '../plan/index.ts';
import type { Json, Paint } from './output/index.ts';

export function lintDocument(file: string, findings: readonly Finding[]): { readonly [key: string]: Json } {
  return {
    plan: file,
    well: countOpen(findings).error === 0,
    counts: countOpen(findings),
    findings: findings.map(({ id, severity, places, says, why, settle, accepted }) => ({
      ...{ id, severity, says, why, settle },
      places: places.map((place) => ({ ...place })),
      accepted: accepted === null ? null : { ...accepted },
    })),
  };
}

/** Errors and warnings one by one. Notes are many and alike, so they are counted, or listed by `showsNotes`. */
export function lintText(file: string, findings: readonly Finding[], showsNotes: boolean, paint: Paint): string[] {
  const shown = findings.filter(({ severity }) => showsNotes || severity !== 'note');
  const { error, warning, note, accepted } = countOpen(findings);
  const verdict = error === 0 ? paint.good('No error was found') : paint.bad(`${formatQuantity(error, 'error')} found`);
  const rest = [
    formatQuantity(warning, 'warning'),
    `${formatQuantity(note, 'note')}${note > 0 && !showsNotes ? ' (--all shows them)' : ''}`,
    ...(accepted === 0 ? [] : [formatQuantity(accepted, 'accepted risk')]),
  ];
  return [
    paint.strong(file),
    '',
    ...shown.flatMap((finding) => [...findingText(finding, paint), '']),
    `${verdict}; ${rest.join(', ')}.`,
  ];
}

function findingText({ id, severity, places, says, why, settle, accepted }: Finding, paint: Paint): string[] {
  const mark = { error: paint.bad('✗'), warning: paint.warning('!'), note: paint.faint('·') }[severity];
  const head =
    accepted === null
      ? `${mark} ${paint.strong(id)}  ${says}`
      : `${paint.faint('○')} ${paint.strong(id)}  ${paint.faint(says)}`;
  return [
    head,
    ...places.map((place) => `    ${paint.faint('at')}      ${formatPlace(place)}`),
    ...(accepted === null
      ? [`    ${paint.faint('why')}     ${why}`, `    ${paint.accent('→')}       ${settle}`]
      : [`    ${paint.faint('accepted')} until ${accepted.until} by ${accepted.who}: ${accepted.why}`]),
  ];
}

function formatPlace({ path, file, line }: FindingPlace): string {
  if (file === null) return `${path}, which the environment gives`;
  return line === null ? path : `line ${line}: ${path}`;
}

/** Of what nobody accepted, how many there are of each weight; and how many were accepted. */
function countOpen(findings: readonly Finding[]): Record<'error' | 'warning' | 'note' | 'accepted', number> {
  const counts = { error: 0, warning: 0, note: 0, accepted: 0 };
  for (const { severity, accepted } of findings) counts[accepted === null ? severity : 'accepted'] += 1;
  return counts;
}
