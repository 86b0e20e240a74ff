import type { HoldfastError } from '../lib/index.ts';
import type { ToldAlarm } from '../protect/wal/index.ts';
import type { CommandContext } from './command.ts';

/** Shows an alarm about WAL to a person, on standard error, and as an event to a program. */
export function tellAlarm({ say, emit }: CommandContext, alarm: ToldAlarm): void {
  emit('wal', { kind: 'alarm', alarm: alarm.alarm, code: alarm.error.code, message: alarm.error.message });
  say((paint) => [paint.bad(describeAlarm(alarm))]);
}

/** One line with all that there is to be said. */
export function describeAlarm({ alarm, error }: ToldAlarm): string {
  return `ALARM ${alarm}: ${describeError(error)}`;
}

function describeError(error: HoldfastError): string {
  return [`${error.message}.`, error.detail, ...error.hints].filter((text) => text !== undefined).join(' ');
}
