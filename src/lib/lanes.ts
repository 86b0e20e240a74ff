/**
 * Does one thing for each item, so many at a time, and is done when all are. The source is asked for one item after the other.
 *
 * The first error ends the others after what they are at, and is thrown.
 */
export async function inLanes<Item>(
  lanes: number,
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const source: AsyncIterator<Item> | Iterator<Item> =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let turn: Promise<unknown> = Promise.resolve();
  const next = (): Promise<IteratorResult<Item>> => {
    const taken = turn.then(() => source.next());
    // Whoever took it sees the error; the next in the queue only waits.
    turn = taken.catch(() => {});
    return taken;
  };
  let failed = false;
  const runLane = async () => {
    try {
      for (let taken = await next(); !taken.done && !failed; taken = await next()) await work(taken.value);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: lanes }, runLane));
}
