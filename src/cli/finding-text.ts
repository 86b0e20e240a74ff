import type { Finding } from '../watch/index.ts';
import type { Json, Paint } from './output/index.ts';

export function findingDocument({ severity, code, sentence, advice }: Finding): Json {
  return { severity, code, sentence, advice };
}

export function findingText({ severity, sentence, advice }: Finding, paint: Paint): string[] {
  const mark = severity === 'problem' ? paint.bad('✗') : paint.warning('!');
  return [`${mark} ${sentence}`, ...(advice === null ? [] : [`  ${paint.accent('→')} ${advice}`])];
}
