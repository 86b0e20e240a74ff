import type { Progress } from '../lib/index.ts';
import {
  barDisplay,
  errorDocument,
  eventDisplay,
  formatError,
  formatTraces,
  lineDisplay,
  type Outcome,
  type Paint,
  paintFor,
  Redaction,
} from './output/index.ts';
import type { Surroundings } from './surroundings.ts';

/** How a command speaks: one result or one error at the end, progress and events before. */
export interface Reporter {
  readonly redaction: Redaction;
  readonly progress: Progress;
  readonly say: (lines: (paint: Paint) => string[]) => void;
  readonly emit: (event: string, facts: Readonly<Record<string, unknown>>) => void;
  finish(outcome: Outcome): void;
  fail(error: unknown): void;
}

/** What was asked for with `--json` and `--events`; events without a document at their end would be of little use. */
export interface ReportForm {
  readonly json: boolean;
  readonly events: boolean;
}

/** Results and events go to standard output, everything else to standard error; all of it passes the redaction. */
export function makeReporter(form: ReportForm, surroundings: Surroundings): Reporter {
  const { stdout, stderr, clock, environment } = surroundings;
  const redaction = new Redaction();
  const toStdout = (line: string) => void stdout.write(`${redaction.apply(line)}\n`);
  const toStderr = (line: string) => void stderr.write(`${redaction.apply(line)}\n`);
  const emit = (event: string, facts: Readonly<Record<string, unknown>>) => {
    if (form.events) toStdout(JSON.stringify({ event, at: new Date(clock.now()).toISOString(), ...facts }));
  };
  const display = form.events
    ? eventDisplay(clock, emit)
    : stderr.isTTY === true
      ? barDisplay(clock, stderr, paintFor(stderr))
      : lineDisplay(clock, toStderr);
  const asJson = form.json || form.events;
  return {
    redaction,
    progress: display,
    say: (lines) => {
      if (form.events) return;
      display.makeRoom();
      for (const line of lines(paintFor(stderr))) toStderr(line);
    },
    emit,
    finish: (outcome) => {
      display.close();
      if (asJson) toStdout(JSON.stringify(outcome.json));
      else for (const line of outcome.text(paintFor(stdout))) toStdout(line);
    },
    fail: (error) => {
      display.close(true);
      for (const line of formatError(error, paintFor(stderr))) toStderr(line);
      if (environment.HOLDFAST_DEBUG === '1') for (const line of formatTraces(error)) toStderr(line);
      if (asJson) toStdout(JSON.stringify(errorDocument(error)));
    },
  };
}
