import { rm } from 'node:fs/promises';
import { makeScratchDirectory } from '../../../test/support/scratch.ts';
import { guardDirectory } from './guard.ts';
import type { DemoOptions } from './options.ts';
import type { Screen } from './screen.ts';

/** What every chapter of the demo works with. */
export interface World {
  readonly options: DemoOptions;
  readonly screen: Screen;
  /** Everything that the demo makes lies here. */
  readonly directory: string;
  /** Aborted by Ctrl-C, and by whatever breaks behind the back of a chapter, with the reason. */
  readonly signal: AbortSignal;
  /** Ends the demo from behind its back. */
  breakWith(error: Error): void;
  /** True once the recovered server and the directory are to stay. */
  readonly isKept: boolean;
  keep(): void;
  /** Registers how something is stopped or removed; the last thing that was made goes first. */
  onEnd(act: () => Promise<void>): void;
}

/** A process that is just ending may still make a file in a directory that is being emptied. */
const removalRetries = 5;

/** Makes a world and the directory of it; `close` undoes all that was made, except what is to be kept. */
export async function openWorld(
  options: DemoOptions,
  screen: Screen,
  interruption: AbortSignal,
): Promise<{ world: World; close: () => Promise<void> }> {
  const stack = new AsyncDisposableStack();
  const directory = await makeScratchDirectory('demo');
  const dismissGuard = guardDirectory(directory);
  // What the engine makes for a moment lies here as well, and is removed with all else.
  process.env.TMPDIR = directory;
  let isKept = false;
  stack.defer(async () => {
    if (!isKept) await rm(directory, { recursive: true, force: true, maxRetries: removalRetries });
    dismissGuard();
  });
  const trouble = new AbortController();
  return {
    world: {
      ...{ options, screen, directory },
      signal: AbortSignal.any([interruption, trouble.signal]),
      breakWith: (error) => trouble.abort(error),
      onEnd: (act) => stack.defer(act),
      get isKept() {
        return isKept;
      },
      keep: () => {
        isKept = true;
      },
    },
    close: () => stack.disposeAsync(),
  };
}
