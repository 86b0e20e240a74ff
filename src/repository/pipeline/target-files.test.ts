import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TargetFiles } from './target-files.ts';

test('the file that was used longest ago is let go first, and none that is being written', () => {
  const files = new TargetFiles({ isDirect: false });
  const all = Array.from({ length: 128 }, (_, i) => files.get(`/f${i}`));
  all[1]!.underWay = 1;
  // The first is used again, and the second is being written: the third one goes.
  assert.equal(files.get('/f0'), all[0]);
  files.get('/another');
  assert.equal(files.get('/f0'), all[0]);
  assert.equal(files.get('/f1'), all[1]);
  assert.equal(files.get('/f3'), all[3]);
  assert.notEqual(files.get('/f2'), all[2]);
  files.close();
});
