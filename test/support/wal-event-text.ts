import type { WalEvent } from '../../src/protect/wal/index.ts';

/** An event as a line of JSON, positions as decimal texts and errors as what they say. */
export function walEventText(event: WalEvent): string {
  return JSON.stringify(event, (_, value: unknown) =>
    typeof value === 'bigint' || value instanceof Error ? String(value) : value,
  );
}
