import pg from 'pg';
import { systemClock } from '../../src/lib/index.ts';
import type { PostgresServer } from './postgres-server.ts';

/** Sessions that work side by side. */
export interface Sessions {
  /** Until each of them has done so many rounds more; fails as soon as one of them does. */
  rounds(count: number): Promise<void>;
  /** Lets each end its round; gives how many the slowest has done. */
  stop(): Promise<number>;
}

/** Starts a session for each kind of work, which does it over and over until it is told to stop. `round` counts from 0. */
export function startSessions(
  server: PostgresServer,
  work: readonly ((client: pg.Client, round: number) => Promise<void>)[],
): Sessions {
  const counts = work.map(() => 0);
  let running = true;
  const all = Promise.all(
    work.map(async (doRound, session) => {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      try {
        for (; running; counts[session]! += 1) await doRound(client, counts[session]!);
      } finally {
        await client.end();
      }
    }),
  );
  const least = () => Math.min(...counts);
  return {
    rounds: async (count) => {
      const until = least() + count;
      while (least() < until) await Promise.race([systemClock.sleep(10), all]);
    },
    stop: async () => {
      running = false;
      await all;
      return least();
    },
  };
}
