import type { Clock, Progress } from '../../lib/index.ts';
import { formatDuration } from '../../lib/index.ts';
import type { Paint } from './paint.ts';
import { formatDone, formatFinished, formatSpeed, type MeterReading, ProgressMeter } from './progress-meter.ts';

/** Progress as it is shown; `close` finishes the current stage, so that other lines can follow. */
export interface ProgressDisplay extends Progress {
  /** `failed` leaves the stage as it stands instead of calling it finished. */
  close(failed?: boolean): void;
  /** Clears what is drawn and not over, before other lines are written. */
  makeRoom(): void;
}

/** What a display does with the readings; how often is decided here. */
interface Face {
  readonly intervalMs: number;
  begun?(reading: MeterReading): void;
  advanced(reading: MeterReading): void;
  finished(reading: MeterReading, failed: boolean): void;
  noted(message: string): void;
  cleared?(): void;
}

/** A bar that redraws itself in the last line of a terminal, and a line for each stage that is over. */
export function barDisplay(clock: Clock, stream: NodeJS.WriteStream, paint: Paint): ProgressDisplay {
  const clear = '\r\u001B[K';
  const draw = (reading: MeterReading) => {
    // A line that wrapped could not be cleared again.
    stream.write(`${clear}${formatBar(reading, Math.min(stream.columns || 80, 120) - 1, paint)}`);
  };
  return new Display(clock, {
    intervalMs: 100,
    begun: draw,
    advanced: draw,
    finished: (reading, failed) => {
      const mark = failed ? paint.bad('✗') : paint.good('✓');
      stream.write(`${clear}${mark} ${failed ? reading.stage : formatFinished(reading)}\n`);
    },
    noted: (message) => stream.write(`${clear}  ${paint.faint(message)}\n`),
    cleared: () => stream.write(clear),
  });
}

/** A line now and then, for logs. */
export function lineDisplay(clock: Clock, write: (line: string) => void): ProgressDisplay {
  return new Display(clock, {
    intervalMs: 10_000,
    advanced: (reading) => write(formatLine(reading)),
    finished: (reading, failed) => write(failed ? `${reading.stage}: not finished` : formatFinished(reading)),
    noted: write,
  });
}

/** An object a second, for programs. */
export function eventDisplay(
  clock: Clock,
  emit: (event: string, facts: Readonly<Record<string, unknown>>) => void,
): ProgressDisplay {
  return new Display(clock, {
    intervalMs: 1_000,
    begun: (reading) => emit('stage-begun', { ...facts(reading) }),
    advanced: (reading) => emit('progress', { ...facts(reading) }),
    finished: (reading, failed) => emit(failed ? 'stage-failed' : 'stage-finished', { ...facts(reading) }),
    noted: (message) => emit('note', { message }),
  });
}

function facts({ stage, unit, done, total, rate, secondsLeft, seconds }: MeterReading) {
  return { stage, unit, done, total, ratePerSecond: Math.round(rate), secondsLeft, seconds };
}

class Display implements ProgressDisplay {
  readonly #clock: Clock;
  readonly #face: Face;
  #meter: ProgressMeter | null = null;
  #shownAt = 0;

  constructor(clock: Clock, face: Face) {
    this.#clock = clock;
    this.#face = face;
  }

  begin(stage: string, options: Parameters<Progress['begin']>[1] = {}): void {
    this.close();
    this.#meter = new ProgressMeter(this.#clock, stage, options.unit ?? 'bytes', options.total ?? null);
    this.#shownAt = this.#clock.monotonic();
    this.#face.begun?.(this.#meter.read());
  }

  expect(total: number): void {
    this.#meter?.expect(total);
  }

  advance(amount: number): void {
    if (this.#meter === null) return;
    this.#meter.advance(amount);
    const now = this.#clock.monotonic();
    if (now - this.#shownAt < this.#face.intervalMs) return;
    this.#shownAt = now;
    this.#face.advanced(this.#meter.read());
  }

  note(message: string): void {
    this.#face.noted(message);
  }

  makeRoom(): void {
    if (this.#meter !== null) this.#face.cleared?.();
  }

  close(failed = false): void {
    const meter = this.#meter;
    this.#meter = null;
    if (meter !== null) this.#face.finished(meter.read(), failed);
  }
}

/** `copying data  ━━━━━━━━──────  62 %  1.20 GiB of 1.90 GiB  85.1 MiB/s  8.2 s left`, cut to `width`. */
export function formatBar(reading: MeterReading, width: number, paint: Paint): string {
  const share = shareOf(reading);
  const left = reading.secondsLeft === null ? [] : [`${formatDuration(reading.secondsLeft * 1000)} left`];
  const amounts = reading.done === 0 ? [] : [formatDone(reading), formatSpeed(reading)];
  const percent = share === null ? [] : [`${String(Math.floor(share * 100)).padStart(3)} %`];
  const words = [...percent, ...amounts, ...left].join('  ');
  const room = width - reading.stage.length - words.length - 6;
  if (share === null || room < 8) return `  ${reading.stage}  ${words}`.slice(0, width);
  const cells = Math.min(room, 32);
  const full = Math.round(share * cells);
  return `  ${reading.stage}  ${paint.accent('━'.repeat(full))}${paint.faint('─'.repeat(cells - full))}  ${words}`;
}

/** `copying data: 1.20 GiB of 1.90 GiB, 62 %, 85.1 MiB/s, 8.2 s left`. */
function formatLine(reading: MeterReading): string {
  const share = shareOf(reading);
  const parts = [
    formatDone(reading),
    ...(share === null ? [] : [`${Math.floor(share * 100)} %`]),
    formatSpeed(reading),
    ...(reading.secondsLeft === null ? [] : [`${formatDuration(reading.secondsLeft * 1000)} left`]),
  ];
  return `${reading.stage}: ${parts.join(', ')}`;
}

function shareOf({ done, total }: MeterReading): number | null {
  return total === null || total === 0 || done > total ? null : done / total;
}
