import { HoldfastError } from '../../../lib/index.ts';

const UNITS: Readonly<Record<string, number>> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };

/**
 * Reads a size as PostgreSQL shows it in a setting: `16MB`. Gives bytes.
 * Errors: PG_SETTING_INVALID.
 */
export function parseSize(text: string): number {
  const [, digits, unit] = /^([0-9]+)(B|kB|MB|GB|TB)$/.exec(text) ?? [];
  const factor = UNITS[unit ?? ''];
  if (digits !== undefined && factor !== undefined) return Number(digits) * factor;
  throw new HoldfastError('PG_SETTING_INVALID', `invalid size "${text}" in a setting of the server`, {
    detail: 'Expected a number and a unit from B to TB.',
  });
}
