import type { Clock, ProgressUnit } from '../../lib/index.ts';
import { formatBytes, formatCount, formatDuration, formatQuantity, formatRate } from '../../lib/index.ts';

/** How far a stage is, at one moment. */
export interface MeterReading {
  readonly stage: string;
  readonly unit: ProgressUnit;
  readonly done: number;
  /** `null` while nobody can know it. */
  readonly total: number | null;
  /** Units in a second, of late. */
  readonly rate: number;
  readonly secondsLeft: number | null;
  readonly seconds: number;
}

/** The rate is that of the last seconds, so that a pause shows and an old one is forgotten. */
const windowMs = 10_000;
const sampleMs = 500;

/** Counts one stage and says how fast it goes. */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #stage: string;
  readonly #unit: ProgressUnit;
  readonly #startedAt: number;
  #total: number | null;
  #done = 0;
  #samples: { at: number; done: number }[];

  constructor(clock: Clock, stage: string, unit: ProgressUnit, total: number | null) {
    this.#clock = clock;
    this.#stage = stage;
    this.#unit = unit;
    this.#total = total;
    this.#startedAt = clock.monotonic();
    this.#samples = [{ at: this.#startedAt, done: 0 }];
  }

  expect(total: number): void {
    this.#total = total;
  }

  advance(amount: number): void {
    this.#done += amount;
    const at = this.#clock.monotonic();
    if (at - this.#samples.at(-1)!.at < sampleMs) return;
    this.#samples.push({ at, done: this.#done });
    while (this.#samples.length > 2 && at - this.#samples[0]!.at > windowMs) this.#samples.shift();
  }

  read(): MeterReading {
    const at = this.#clock.monotonic();
    const first = this.#samples[0]!;
    const elapsedMs = at - first.at;
    const rate = elapsedMs > 0 ? ((this.#done - first.done) * 1000) / elapsedMs : 0;
    const left = this.#total === null ? null : Math.max(0, this.#total - this.#done);
    return {
      stage: this.#stage,
      unit: this.#unit,
      done: this.#done,
      total: this.#total,
      rate,
      secondsLeft: left === null || rate <= 0 ? null : left / rate,
      seconds: (at - this.#startedAt) / 1000,
    };
  }
}

/** `1.20 GiB of 1.90 GiB`, or what is done alone. More than was expected shows no total, as it was wrong. */
export function formatDone({ done, total, unit }: MeterReading): string {
  const one = (amount: number) => (unit === 'bytes' ? formatBytes(amount) : formatCount(amount));
  const suffix = unit === 'bytes' ? '' : ` ${unit}`;
  return total === null || done > total ? `${one(done)}${suffix}` : `${one(done)} of ${one(total)}${suffix}`;
}

export function formatSpeed({ rate, unit }: MeterReading): string {
  return unit === 'bytes' ? formatRate(rate) : `${formatCount(Math.round(rate))} ${unit}/s`;
}

/** A finished stage in one line: `copying data: 1.90 GiB in 22.1 s (88.0 MiB/s)`. Only of bytes a speed says something. */
export function formatFinished(reading: MeterReading): string {
  const { stage, done, unit, seconds } = reading;
  if (done === 0) return `${stage} (${formatDuration(seconds * 1000)})`;
  const took = formatDuration(seconds * 1000);
  if (unit !== 'bytes') return `${stage}: ${formatQuantity(done, unit.slice(0, -1))} in ${took}`;
  return `${stage}: ${formatBytes(done)} in ${took} (${formatRate(seconds > 0 ? done / seconds : 0)})`;
}
