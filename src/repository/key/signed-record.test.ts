import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomKeys } from '../../../test/support/memory-repository.ts';
import { signRecord, whyNotSigned } from './signed-record.ts';

describe('a signed record', () => {
  const keys = randomKeys();
  const record = signRecord(keys, { version: 1, level: 'stored', facts: { b: 1, a: ['x', null] } });

  it('is trusted as it was signed, in whatever order its members stand', () => {
    assert.equal(whyNotSigned(keys, record), null);
    const reordered = JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(record).reverse())));
    assert.equal(whyNotSigned(keys, reordered), null);
  });

  it('is not trusted with any member changed, added or left out', () => {
    assert.equal(whyNotSigned(keys, { ...record, level: 'proven' }), 'invalid');
    assert.equal(whyNotSigned(keys, { ...record, more: 1 }), 'invalid');
    const { facts, ...less } = record;
    assert.ok(facts);
    assert.equal(whyNotSigned(keys, less), 'invalid');
    assert.equal(whyNotSigned(keys, { ...record, signature: '' }), 'invalid');
    assert.equal(whyNotSigned(keys, { ...record, signature: undefined }), 'unsigned');
    assert.equal(whyNotSigned(keys, null), 'unsigned');
  });

  it('is not trusted when somebody else signed it, however well', () => {
    const { publicKey, signature, ...plain } = record;
    assert.ok(publicKey && signature);
    assert.equal(whyNotSigned(keys, signRecord(randomKeys(), plain)), 'other-key');
  });
});
