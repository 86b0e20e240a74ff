import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadExample } from '../../test/support/wishcraft-plan.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const year = 366 * day;

describe('the plan of WishCraft as its document has it', async () => {
  const plan = await loadExample('as-written.config.ts');

  it('has the promises of the whole, of each function, and of each scenario', () => {
    const { rto, rpo, availability } = plan.objectives;
    assert.deepEqual([rto, rpo, availability], [hour, 15 * minute, 99.9]);
    assert.deepEqual(
      plan.functions.map(({ rto }) => rto / minute),
      [30, 15, 60, 5],
    );
    assert.deepEqual(
      plan.dataSets.map(({ maxLoss }) => maxLoss),
      [0, 15 * minute, null, null],
    );
    assert.deepEqual(
      plan.scenarios.map(({ probability, impact, rto, rpo }) => [probability, impact, rto / minute, rpo / minute]),
      [
        ['low', 'high', 30, 5],
        ['low', 'high', 15, 0],
        ['medium', 'medium', 60, 15],
        ['very-low', 'very-high', 120, 15],
        ['very-low', 'high', 60, 60],
      ],
    );
  });

  it('has its schedules, what is kept, and what raises an alarm', () => {
    assert.deepEqual(
      plan.schedules.map(({ job, when }) => [job, when.text]),
      [
        ['full', '0 2 * * *'],
        ['increment', 'every 15m'],
        ['wal', 'continuous'],
        ['full', '0 0 * * 0'],
        ['application', '0 2 * * *'],
      ],
    );
    const { daily, weekly, monthly, yearly } = plan.retention.default!;
    assert.deepEqual([daily, weekly, monthly, yearly], [30, 12, 12, 7]);
    assert.equal(plan.retention.copies.primary?.keepWithin, 30 * day);
    const [{ keepFor } = { keepFor: 0 }] = plan.compliance.retentionClasses;
    assert.equal(keepFor, 7 * year);
    const { backupAge, storageUsed, replicaLag } = plan.thresholds;
    assert.deepEqual([backupAge, storageUsed, replicaLag], [25 * hour, 85, 30 * second]);
    assert.deepEqual(plan.clusters[0]?.settings?.max_wal_senders, 3);
    assert.deepEqual(plan.clusters[0]?.settings?.wal_keep_segments, 100);
  });

  it('has its people, its deadlines and its duties', () => {
    assert.deepEqual(
      plan.communication.flatMap(({ name, within, every, ifOutFor }) => [[name, within, every ?? ifOutFor]]),
      [
        ['team-notification', 0, null],
        ['status-updates', null, 15 * minute],
        ['milestones', 0, null],
        ['team-briefing', null, null],
        ['disruption', 30 * minute, null],
        ['progress', null, hour],
        ['service-restored', 0, null],
        ['post-mortem', 48 * hour, null],
        ['executives', 0, null],
        ['customer-success', 15 * minute, null],
        ['sales', 30 * minute, null],
        ['board', 0, 4 * hour],
      ],
    );
    assert.equal(plan.roles.length, 5);
    assert.equal(plan.contacts.length, 7);
    assert.equal(plan.vendors.length, 4);
    assert.deepEqual(
      plan.checklists.map(({ every, items }) => [every, items.length]),
      [
        ['day', 5],
        ['week', 5],
        ['month', 5],
        ['quarter', 5],
      ],
    );
  });
});

describe('the mended plan of WishCraft', async () => {
  const plan = await loadExample('holdfast.config.ts');

  it('has everybody at a domain that is reserved for examples', () => {
    for (const { email } of plan.contacts) assert.match(String(email), /\.example$/);
    for (const { contact } of plan.vendors) assert.match(String(contact), /\.example$/);
  });

  it('gives each role a contact and a deputy, and each scenario a method and steps', () => {
    for (const { name, contact, deputy } of plan.roles) assert.ok(contact !== null && deputy !== null, name);
    for (const { name, method, steps } of plan.scenarios) assert.ok(method !== null && steps.length > 0, name);
  });

  it('promises nothing of the whole that a function or a scenario takes back', () => {
    for (const { name, rto, rpo } of [...plan.functions, ...plan.scenarios]) {
      assert.ok(rto <= plan.objectives.rto!, name);
      assert.ok(rpo! <= plan.objectives.rpo!, name);
    }
  });
});
