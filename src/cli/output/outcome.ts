import type { ExitReason } from '../exit-code.ts';
import type { Paint } from './paint.ts';

/** What JSON can say. Shapes are documented in docs/cli-json.md and only ever grow. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What a command has to say, once for programs and once for people. */
export interface Outcome {
  /** `done` when left out. */
  readonly reason?: ExitReason;
  /** Only for commands whose exit codes are PostgreSQL's. */
  readonly code?: number;
  /** The document of `--json`. */
  readonly json: { readonly [key: string]: Json };
  /** The lines of the text form. */
  text(paint: Paint): string[];
}
