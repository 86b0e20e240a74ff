import type { StatedOption } from '../plan/index.ts';
import type { Json } from './output/index.ts';

/** A value as people read it: texts without quotes, references and lists as a plan writes them. */
export function statedText({ value, isHidden }: StatedOption): string {
  if (isHidden) return '(hidden)';
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
}

/** A plan is made of what JSON can say; a module could hold something else, which the schema refuses. */
export function statedJson({ value }: StatedOption): Json {
  return value as Json;
}
