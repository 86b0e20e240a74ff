import { formatBytes, formatCount, formatDuration, formatQuantity, type HoldfastError } from '../lib/index.ts';
import type { ComparedObjects } from '../repository/index.ts';
import type { CopiesAlone, CopyStatus, PlacesStatus } from '../watch/index.ts';
import { formatTable, type Json, type Paint } from './output/index.ts';

/** What a document says of a place that failed. */
export function placeErrorDocument(error: HoldfastError | null): Json {
  return error === null ? null : { code: error.code, message: error.message };
}

/** What a person reads of a copy that failed. */
export function failedCopyText(name: string, { message, detail, hints }: HoldfastError, paint: Paint): string[] {
  return [
    `${paint.bad('✗')} copy "${name}": ${message}`,
    ...(detail?.split('\n') ?? []).map((line) => `  ${line}`),
    ...hints.map((hint) => `  ${paint.accent('→')} ${hint}`),
  ];
}

/** Objects of one kind of finding; the first names only. */
export function comparedDocument({ objects, bytes, names, parts }: ComparedObjects): { readonly [key: string]: Json } {
  return { objects, bytes, names, parts: Object.fromEntries(Object.entries(parts).map(([k, v]) => [k, { ...v }])) };
}

/** How each place stands, as `copies status`, `status` and `wal status` tell it. */
export function placesDocument({ primary, copies }: PlacesStatus): { readonly [key: string]: Json } {
  return {
    primary: {
      location: primary.description,
      stored: amountOf(primary.stored),
      error: placeErrorDocument(primary.error),
    },
    copies: copies.map(({ name, description, required, state, stored, comparison, error }) => ({
      ...{ name, location: description, required, state, stored: amountOf(stored) },
      lagSeconds: comparison === null ? null : comparison.lagMs / 1000,
      missing: comparison === null ? null : comparedDocument(comparison.missing),
      differing: comparison === null ? null : comparedDocument(comparison.differing),
      extra: comparison === null ? null : comparedDocument(comparison.extra),
      error: placeErrorDocument(error),
    })),
  };
}

/** Only how far a copy is behind. */
export function lagDocument({ name, required, state, comparison }: CopyStatus): Json {
  return { name, required, state, lagSeconds: comparison === null ? null : comparison.lagMs / 1000 };
}

function amountOf(stored: { objects: number; bytes: number } | null): Json {
  return stored === null ? null : { objects: stored.objects, bytes: stored.bytes };
}

/** A table with a line for each place. */
export function placesTable({ primary, copies }: PlacesStatus, paint: Paint): string[] {
  const amounts = (stored: { objects: number; bytes: number } | null) =>
    stored === null ? ['', ''] : [formatCount(stored.objects), formatBytes(stored.bytes)];
  return formatTable(
    [
      { head: 'PLACE' },
      { head: 'STATE' },
      { head: 'OBJECTS', align: 'right' },
      { head: 'SIZE', align: 'right' },
      { head: 'LOCATION' },
    ],
    [
      [
        paint.strong('primary'),
        primary.error === null ? paint.good('answers') : paint.bad('away'),
        ...amounts(primary.stored),
        primary.description,
      ],
      ...copies.map((copy) => [
        `${paint.strong(copy.name)}${copy.required ? ' (required)' : ''}`,
        describeState(copy, paint),
        ...amounts(copy.stored),
        copy.description,
      ]),
    ],
    paint,
  );
}

/** `in step`, `lacks 12 objects, 3 MiB, the oldest since 40 s`. */
export function describeState({ state, comparison }: CopyStatus, paint: Paint): string {
  switch (state) {
    case 'in-step':
      return paint.good('in step');
    case 'behind':
    case 'differing': {
      const { missing, differing, lagMs } = comparison!;
      const lacks = `lacks ${formatQuantity(missing.objects, 'object')}, ${formatBytes(missing.bytes)}, the oldest since ${formatDuration(lagMs)}`;
      return [
        ...(differing.objects === 0 ? [] : [paint.bad(`differs in ${formatQuantity(differing.objects, 'object')}`)]),
        ...(missing.objects === 0 ? [] : [paint.warning(lacks)]),
      ].join(', ');
    }
    case 'not-compared':
      return paint.warning('answers');
    case 'away':
      return paint.bad('away');
    case 'foreign':
      return paint.bad('no copy of this repository');
  }
}

/** `not in the primary: in "west"`; of a primary that does not answer nothing is said. */
export function describeCopiesAlone({ copies, isPrimaryAsked }: CopiesAlone): string {
  const names = copies.map((name) => `"${name}"`).join(', ');
  return `${isPrimaryAsked ? 'not in the primary' : 'taken while the primary was away'}: in ${names}`;
}

/** `packs 3, wal 12`. */
export function describeParts({ parts }: ComparedObjects): string {
  return Object.entries(parts)
    .map(([part, { objects }]) => `${part} ${formatCount(objects)}`)
    .join(', ');
}
