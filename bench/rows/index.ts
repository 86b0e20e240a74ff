/** What can be measured, in the order of the report. */
import type { BenchRow } from '../row.ts';
import { threeDays } from './days.ts';
import { farBackup, farRestore } from './far.ts';
import { fullDirect, fullLevel3, fullStream, fullUnchanged } from './full.ts';
import { growth, growth16 } from './growth.ts';
import { incrementEverywhere, incrementNothing, incrementOnePlace } from './increments.ts';
import { manyRelations } from './many-relations.ts';
import { replay } from './replay.ts';
import { restoreDelta, restoreFull, restoreIncrement } from './restore.ts';
import { wal } from './wal.ts';

export const benchRows: readonly BenchRow[] = [
  ...[fullDirect, fullStream, fullLevel3, fullUnchanged],
  ...[incrementOnePlace, incrementEverywhere, incrementNothing],
  ...[restoreFull, restoreIncrement, restoreDelta],
  threeDays,
  ...[wal, replay],
  ...[farBackup, farRestore],
  ...[growth, growth16, manyRelations],
];
