import { formatCount } from '../../../../src/lib/index.ts';
import type { DisasterName } from '../options.ts';
import { openShop, type Shop } from '../shop.ts';
import type { World } from '../world.ts';

const titles: Record<DisasterName, string> = {
  'dropped-table': 'Holdfast brings back a table that was dropped while shops were writing',
  'database-failure': 'Holdfast brings back a database whose server and data are gone',
};

/** A live database and an application on it. */
export async function openTheShop(world: World): Promise<Shop> {
  const { screen, directory } = world;
  screen.title(titles[world.options.disaster]);
  screen.chapter('A shop at work');
  return await screen.step(
    'starting PostgreSQL and WishCraft',
    async () => {
      const shop = await openShop(directory);
      world.onEnd(() => shop.close());
      return shop;
    },
    ({ server, app, seeded }) => {
      const { registries, items, purchases } = seeded;
      const rows = `${formatCount(registries)} registries, ${formatCount(items)} items, ${formatCount(purchases)} purchases`;
      return `PostgreSQL ${server.major} on port ${server.port} and WishCraft on ${app.url}, with ${rows}`;
    },
  );
}
