import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { flipBit } from '../../test/support/bits.ts';
import { createRepository } from '../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, severalPlaces } from '../../test/support/several-places.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../test/support/small-snapshot.ts';
import { silentProgress, systemClock } from '../lib/index.ts';
import { healRepository } from '../prove/index.ts';
import { type ObjectStore, recordObjectDamage } from '../repository/index.ts';
import { healText, isMended } from './heal-text.ts';
import { plainPaint } from './output/paint.ts';

/** A repository in which one pack of the primary is damaged and known to be. */
async function setUp(test: TestContext) {
  const copies = [cuttablePlace('west'), cuttablePlace('east')];
  const places = severalPlaces(test, { copies });
  const { repository, scratch } = await createRepository(test, { store: places.store });
  const { lineage } = await storeSmallLineage(repository);
  await storeSmallSnapshot(repository, { 'data/a': randomBytes(9000) }, lineage);
  await places.store.settled();
  const primary = places.primary.inner;
  const [name] = await namesIn(primary, 'index/');
  await damage(primary, name!);
  await recordObjectDamage(repository, name!, {});
  const heal = () =>
    healRepository({ repository, stateDirectory: scratch, clock: systemClock, progress: silentProgress });
  const healedFacts = async () => {
    const told: unknown[] = [];
    for (const entry of await namesIn(primary, 'ledger/')) {
      const { action, facts } = (await repository.getJson('ledger', entry)) as { action: string; facts: object };
      if (action === 'heal') told.push((facts as { fromPlaces?: number }).fromPlaces);
    }
    return told;
  };
  return { primary, copies, name: name!, heal, healedFacts };
}

async function damage(store: ObjectStore, name: string): Promise<void> {
  const bytes = await store.get(name);
  await store.delete(name);
  await store.putIfAbsent(name, flipBit(bytes, bytes.length * 4));
}

describe('what healing tells', () => {
  it('of damage that a place does not let be replaced is that it stays, and who serves readers instead', async (test) => {
    const { primary, copies, name, heal, healedFacts } = await setUp(test);
    const replace = primary.replaceDamaged;
    // As a bucket whose objects are locked.
    Object.assign(primary, { replaceDamaged: undefined });
    copies[1]!.isCut = true;
    const kept = await heal();
    assert.equal(isMended(kept), false);
    const lines = healText(kept, plainPaint);
    assert.ok(
      lines.includes(
        `✗ ${name} is damaged in "primary", which does not let it be replaced; readers take it from "west"`,
      ),
      lines.join('\n'),
    );
    assert.ok(lines.includes('! "east" did not answer: what is damaged there stays as it is'), lines.join('\n'));
    copies[1]!.isCut = false;
    Object.assign(primary, { replaceDamaged: replace });
    const healed = await heal();
    assert.equal(isMended(healed), true);
    assert.ok(healText(healed, plainPaint).includes(`✓ took ${name} from "west" to "primary"`));
    assert.deepEqual(await healedFacts(), [0, 1]);
  });
});
