import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { settingsWith, soundServer } from '../../../test/support/preflight-facts.ts';
import { judgeIncrements } from './judge-increments.ts';
import { proposeSetup } from './setup/propose-setup.ts';

describe('summarize_wal', () => {
  const judge = (value: string) =>
    judgeIncrements({ ...soundServer, settings: settingsWith({ summarize_wal: value }) });

  it('is told of where it is off, with what turns it on, and is well where it is on', () => {
    const [found] = judge('off');
    assert.deepEqual([found?.verdict, found?.code, found?.expected], ['warning', 'summarize-wal', 'on']);
    assert.match(found!.mends[0]!.text, /^ALTER SYSTEM SET summarize_wal = 'on';$/);
    assert.equal(judge('on')[0]?.verdict, 'ok');
  });

  it('is not asked for before PostgreSQL 17, which does not have it', () => {
    const settings = settingsWith();
    settings.delete('summarize_wal');
    const older = { ...soundServer, version: { major: 16, minor: 9, text: '16.9' }, settings };
    assert.deepEqual(judgeIncrements(older), []);
    assert.deepEqual(proposed(older), []);
  });

  it('is proposed by the set-up where it is off', () => {
    assert.deepEqual(proposed(soundServer), ['summarize_wal = on']);
    assert.deepEqual(proposed({ ...soundServer, settings: settingsWith({ summarize_wal: 'on' }) }), []);
  });
});

function proposed(server: typeof soundServer): string[] {
  const facts = { server, role: null, written: null, walDirectoryFreeBytes: null };
  const wish = {
    slot: 'holdfast_shop',
    role: null,
    archiveCommand: null,
    replacesArchive: false,
    slotBudgetBytes: null,
  };
  return proposeSetup(facts, wish).settings.map(({ name, to }) => `${name} = ${to}`);
}
