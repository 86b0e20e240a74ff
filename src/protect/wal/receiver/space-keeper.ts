import type { Clock } from '../../../lib/index.ts';
import type { Announcer } from './announcer.ts';
import type { ServerSpace } from './server-space.ts';
import { budgetAlarm, type JudgedSpace, SpaceJudge, slotEndangered } from './space-judge.ts';

/** Tells of growth on the server before its disk is full, and of a slot that loses WAL before there is a gap. */
export class SpaceKeeper {
  readonly #options: { cluster: string; slot: string; clock: Clock; announcer: Announcer };
  readonly #judge: SpaceJudge;
  #space: JudgedSpace | null = null;

  constructor(options: { cluster: string; slot: string; budgetBytes: number; clock: Clock; announcer: Announcer }) {
    this.#options = options;
    this.#judge = new SpaceJudge(options.budgetBytes);
  }

  /** What the server said last; `null` before the first. */
  get space(): JudgedSpace | null {
    return this.#space;
  }

  heard(space: ServerSpace): void {
    const judged = this.#judge.judge(space, this.#options.clock.monotonic());
    this.#space = judged;
    this.#tellBudget(judged);
    this.#tellSlot(judged);
  }

  #tellBudget(space: JudgedSpace): void {
    const { cluster, slot, announcer } = this.#options;
    if (space.isOverBudget) {
      announcer.alarmOnce('budget', { alarm: 'budget', error: budgetAlarm(cluster, slot, space) });
    } else if (announcer.isOver('budget')) announcer.emit({ kind: 'recovered', alarm: 'budget' });
  }

  #tellSlot(space: JudgedSpace): void {
    const { cluster, slot, announcer } = this.#options;
    if (space.slotStatus === 'unreserved' || space.slotStatus === 'lost') {
      const error = slotEndangered(cluster, slot, space);
      announcer.alarmOnce(`slot-${space.slotStatus}`, { alarm: 'slot', error });
    } else if (space.slotStatus !== null) {
      const wasTold = [announcer.isOver('slot-unreserved'), announcer.isOver('slot-lost')];
      if (wasTold.includes(true)) announcer.emit({ kind: 'recovered', alarm: 'slot' });
    }
  }
}
