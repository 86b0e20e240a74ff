import assert from 'node:assert/strict';
import { networkInterfaces, tmpdir } from 'node:os';
import { it } from 'node:test';
import { isOnThisMachine, isOwnAddress, isServerHere } from './own-machine.ts';

it('a directory on a disk is here, a store is where its endpoint is', async () => {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])[0]!.address;
  const cases: [string, boolean][] = [
    [tmpdir(), true],
    ['/no/such/directory', true],
    ['s3://bucket/shop?endpoint=http://localhost:9000', true],
    ['s3://bucket/shop?endpoint=http://[::1]:9000', true],
    [`s3://bucket/shop?endpoint=http://${own.includes(':') ? `[${own}]` : own}:9000`, true],
    ['s3://bucket/shop?endpoint=https://s3.example.net', false],
    ['s3://bucket/shop?region=eu-central-1', false],
  ];
  for (const [location, expected] of cases) assert.equal(await isOnThisMachine(location), expected, location);
});

it('a server is here by its socket or by an address of this machine, and unknown when none was named', () => {
  assert.equal(isServerHere(null), null);
  assert.equal(isServerHere({ isLocal: true, host: '/run/postgresql' }), true);
  assert.equal(isServerHere({ isLocal: false, host: '127.0.0.1' }), true);
  assert.equal(isServerHere({ isLocal: false, host: 'db.example.net' }), false);
  assert.equal(isOwnAddress('10.255.255.254'), false);
});
