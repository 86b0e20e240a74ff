/** How much may be under way at the same moment: so many pieces of work, and no more than so much of what they weigh together. */
export interface AheadLimit<Item> {
  readonly atOnceMax: number;
  readonly weightMax?: number;
  /** What an item takes of `weightMax`, such as its bytes. One that is heavier than all goes alone. */
  readonly weigh?: (item: Item) => number;
}

/**
 * Gives the results of `work` in the order of the items, while the work for the items behind is under way already: so that whoever waits for
 * something far away waits once for many.
 *
 * An error of the work, or of the items themselves, is thrown when its turn comes, after the results before it; what is under way then is let
 * go, and how it ends does not matter any more. Nothing is begun before the first result is asked for.
 */
export async function* mapAhead<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  limit: AheadLimit<Item>,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void> {
  const { atOnceMax, weightMax = Number.POSITIVE_INFINITY, weigh = () => 0 } = limit;
  const underWay: { readonly result: Promise<Result>; readonly weight: number }[] = [];
  const source = iterate(items);
  let weight = 0;
  let next = takeNext(source);
  try {
    for (;;) {
      const taken = await next;
      const isRoom = (added: number) => underWay.length < atOnceMax && weight + added <= weightMax;
      if (taken.state === 'item' && (underWay.length === 0 || isRoom(weigh(taken.item)))) {
        const begun = { result: work(taken.item), weight: weigh(taken.item) };
        // Whoever asks for it hears of its failure; nobody need ask.
        begun.result.catch(() => {});
        underWay.push(begun);
        weight += begun.weight;
        next = takeNext(source);
        continue;
      }
      const first = underWay.shift();
      if (first !== undefined) {
        weight -= first.weight;
        yield await first.result;
      } else if (taken.state === 'failed') throw taken.error;
      else return;
    }
  } finally {
    await source.return?.();
  }
}

/** Asks for the first item at once: whoever iterates later need not wait for it from then on. For one iteration only. */
export function beginIterating<Item>(items: AsyncGenerator<Item, void>): AsyncIterable<Item> {
  const first = items.next();
  // Whoever iterates hears of it; perhaps nobody does.
  first.catch(() => {});
  return {
    async *[Symbol.asyncIterator]() {
      try {
        const { value, done } = await first;
        if (done === true) return;
        yield value;
        yield* items;
      } finally {
        await items.return();
      }
    },
  };
}

type Taken<Item> = { state: 'item'; item: Item } | { state: 'end' } | { state: 'failed'; error: unknown };

async function takeNext<Item>(source: AsyncIterator<Item> | Iterator<Item>): Promise<Taken<Item>> {
  try {
    const { value, done } = await source.next();
    return done === true ? { state: 'end' } : { state: 'item', item: value };
  } catch (error) {
    return { state: 'failed', error };
  }
}

function iterate<Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncIterator<Item> | Iterator<Item> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}
