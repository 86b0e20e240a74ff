import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { ReadWindow } from './read-window.ts';

const KIB = 1 << 10;
const MIB = 1 << 20;
const RUN = 256 * KIB;

/**
 * Workers that take a run each `workMs`, from a store that answers after `answerMs`; gives the bytes that they took in a second and the greatest
 * number of bytes that were on their way.
 */
async function readThrough(options: { answerMs: number; lateMs?: number; workMs: number; seconds?: number }) {
  const msMax = 1000 * (options.seconds ?? 3);
  const clock = new ManualClock();
  const window = new ReadWindow({ clock, bytesMin: MIB });
  const answers: { at: number; begun: number }[] = [];
  let [ready, taken, busyUntil, underWay, most, asked] = [0, 0, 0, 0, 0, 0];
  const start = clock.monotonic();
  const now = () => clock.monotonic() - start;
  for (; now() < msMax; await clock.advance(1)) {
    for (let i = answers.length - 1; i >= 0; i--) {
      if (answers[i]!.at > now()) continue;
      window.noteAnswer(answers[i]!.begun);
      answers.splice(i, 1);
      ready += 1;
    }
    for (; ready > 0 && busyUntil <= now(); ready -= 1) {
      busyUntil = Math.max(busyUntil, now() - 1) + options.workMs;
      window.give(RUN);
      underWay -= RUN;
      if (now() >= msMax - 1000) taken += RUN;
    }
    for (; window.hasRoom(RUN); most = Math.max(most, underWay)) {
      const late = asked++ % 4 === 0 ? 0 : (options.lateMs ?? 0);
      answers.push({ at: now() + options.answerMs + late, begun: window.take(RUN) });
      underWay += RUN;
    }
  }
  return { taken, most, window };
}

describe('the window of a restore', () => {
  it('stays as small as it begins where answers come at once', async () => {
    const { window, most } = await readThrough({ answerMs: 1, workMs: 2.5 });
    assert.equal(window.bytes, MIB);
    assert.equal(most, MIB);
    assert.equal(window.isFar, false);
  });

  it('grows until workers wait for nothing, and no further', async () => {
    const { window, taken, most } = await readThrough({ answerMs: 50, workMs: 2.5 });
    assert.ok(taken > 0.95 * (1000 / 2.5) * RUN, `${taken} bytes in a second`);
    assert.ok(most <= 12 * MIB, `${most} bytes on their way`);
    assert.equal(window.isFar, true);
  });

  it('stays small on a machine so busy that many answers are late', async () => {
    const clock = new ManualClock();
    const window = new ReadWindow({ clock, bytesMin: MIB });
    for (let answer = 0; answer < 200; answer++) {
      const begun = window.take(RUN);
      await clock.advance(answer % 2 === 0 ? 1 : 40);
      window.noteAnswer(begun);
      window.give(RUN);
    }
    assert.equal(window.isFar, false);
    assert.equal(window.bytes, MIB);
  });

  it('begins with more where already the first answer comes from far away', async () => {
    const clock = new ManualClock();
    const window = new ReadWindow({ clock, bytesMin: MIB });
    const begun = window.take(RUN);
    await clock.advance(50);
    window.noteAnswer(begun);
    assert.equal(window.bytes, 4 * MIB);
  });

  it('grows as well where most answers take far longer than the quickest', async () => {
    const { taken } = await readThrough({ answerMs: 50, lateMs: 75, workMs: 2.5 });
    assert.ok(taken > 0.9 * (1000 / 2.5) * RUN, `${taken} bytes in a second`);
  });

  it('is bounded, however far away the store is', async () => {
    const { window, most } = await readThrough({ answerMs: 1000, workMs: 1, seconds: 10 });
    assert.equal(window.bytes, 16 * MIB);
    assert.ok(most <= 16 * MIB);
  });

  it('lets a run that is larger than itself go alone', () => {
    const window = new ReadWindow({ clock: new ManualClock(), bytesMin: MIB });
    assert.equal(window.hasRoom(2 * MIB), true);
    window.take(2 * MIB);
    assert.equal(window.hasRoom(1), false);
    window.give(2 * MIB);
    assert.equal(window.hasRoom(1), true);
  });
});
