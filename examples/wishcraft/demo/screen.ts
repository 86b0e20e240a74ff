import { stripVTControlCharacters } from 'node:util';
import { type Paint, paintFor } from '../../../src/cli/output/index.ts';
import { formatBytes, formatCount, type Progress } from '../../../src/lib/index.ts';

/** How a line begins. */
export type Mark = 'good' | 'bad' | 'plain';

/** Where the demo tells what happens: a terminal, with a line that moves while something goes on, or a plain log. */
export interface Screen {
  readonly paint: Paint;
  /** Columns to be used, at most. */
  readonly width: number;
  title(text: string): void;
  chapter(text: string): void;
  tell(mark: Mark, text: string): void;
  print(lines: readonly string[]): void;
  /** What the moving line says besides, such as how far the load is. */
  watch(status: () => string): void;
  /** Shows that something is under way; its result is told in one line. */
  step<Value>(
    doing: string,
    work: (progress: Progress) => Promise<Value>,
    told: (value: Value) => string,
  ): Promise<Value>;
}

/** Longer lines are hard to read, however wide the terminal is. */
const widthMax = 96;
/** Nothing fits in less; what is narrower wraps by itself. */
const widthMin = 40;
const widthOfLogs = 96;
const redrawMs = 100;
const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const clearLine = '\r\u001B[K';

/** Makes a screen of a stream. Colours are there when the stream is a terminal and `NO_COLOR` is not set. */
export function openScreen(stream: NodeJS.WriteStream): Screen {
  const paint = paintFor(stream);
  const isTerminal = stream.isTTY === true && process.env.TERM !== 'dumb';
  let status = () => '';
  const screen: Screen = {
    paint,
    get width() {
      return Math.max(widthMin, Math.min(widthMax, isTerminal ? stream.columns || widthOfLogs : widthOfLogs));
    },
    title: (text) => void stream.write(`\n${paint.strong(text)}\n`),
    chapter: (text) => void stream.write(`\n${paint.accent(paint.strong(text))}\n`),
    tell: (mark, text) => screen.print(wrapText(`${formatMark(mark, paint)} ${text}`, screen.width, 2)),
    print: (lines) => void stream.write(lines.map((line) => `${line}\n`).join('')),
    watch: (next) => {
      status = next;
    },
    step: async (doing, work, told) => {
      const progress = new LatestProgress();
      const startedMs = performance.now();
      const draw = () => {
        const frame = spinner[Math.floor((performance.now() - startedMs) / redrawMs) % spinner.length]!;
        stream.write(
          `${clearLine}${formatLive({ frame, doing, progress, status: status() }, screen.width - 1, paint)}`,
        );
      };
      const timer = isTerminal ? setInterval(draw, redrawMs) : undefined;
      try {
        const value = await work(progress);
        if (isTerminal) stream.write(clearLine);
        screen.tell('good', told(value));
        return value;
      } catch (error) {
        if (isTerminal) stream.write(clearLine);
        screen.tell('bad', `${doing}: not done`);
        throw error;
      } finally {
        clearInterval(timer);
      }
    },
  };
  return screen;
}

function formatMark(mark: Mark, paint: Paint): string {
  return { good: paint.good('✓'), bad: paint.bad('✗'), plain: paint.faint('·') }[mark];
}

/** Remembers the newest word of an engine, to be looked at whenever the line is drawn. */
export class LatestProgress implements Progress {
  stage = '';
  unit: string | undefined;
  done = 0;
  total: number | undefined;

  begin(stage: string, options: { unit?: string; total?: number } = {}): void {
    this.stage = stage;
    this.unit = options.unit;
    this.done = 0;
    this.total = options.total;
  }

  expect(total: number): void {
    this.total = total;
  }

  advance(amount: number): void {
    this.done += amount;
  }

  note(): void {}
}

/** The line that moves: what is done, how far it is, and what else is going on, as much of it as there is room for. */
export function formatLive(
  now: { frame: string; doing: string; progress: LatestProgress; status: string },
  width: number,
  paint: Paint,
): string {
  const { stage, done, total, unit } = now.progress;
  const amount =
    done === 0 ? '' : unit === 'bytes' ? formatBytes(done) : `${formatCount(done)} ${unit ?? ''}`.trimEnd();
  const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total);
  const words = [
    { text: now.doing, as: (text: string) => text },
    { text: stage, as: paint.faint },
    { text: share === undefined ? '' : formatBar(share), as: paint.accent },
    { text: amount, as: (text: string) => text },
    { text: now.status, as: paint.faint },
  ];
  let line = `${paint.accent(now.frame)} `;
  let room = width - 2;
  for (const { text, as } of words) {
    const separated = room === width - 2 ? text : `  ${text}`;
    // A line that wrapped could not be cleared again.
    if (text === '' || separated.length > room) continue;
    line += as(separated);
    room -= separated.length;
  }
  return line;
}

function formatBar(share: number): string {
  const cells = 20;
  const full = Math.round(share * cells);
  return `${'━'.repeat(full)}${'╌'.repeat(cells - full)}`;
}

/** Breaks a text, coloured or not, between words; lines after the first begin with `indent` blanks. */
export function wrapText(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line.trim() !== '' && visibleLength(longer) > width) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}

/** Columns that a text takes, colours left out. */
export function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}
