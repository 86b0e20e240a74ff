import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Secret } from '../../src/lib/index.ts';
import { attackPlace, isDangerous } from '../../src/prove/attack/attack-place.ts';
import { openIntruder, openStore, type StoreCredentials } from '../../src/repository/index.ts';
import { type AzureServer, startAzureServer } from '../support/azure-server.ts';

describe('an attack on a place in Azure', () => {
  let server: AzureServer;
  before(async () => {
    server = await startAzureServer();
  });
  after(() => server?.stop());

  /** What succeeds with these credentials, on baits of its own. */
  async function attackWith(container: string, credentials: StoreCredentials): Promise<string[]> {
    const location = `azure://${server.account}/${container}/shop?endpoint=${server.endpoint}`;
    const open = async () => openStore(location, { credentials });
    const intruder = await openIntruder(location, { credentials });
    try {
      const results = await attackPlace({ name: 'primary', intruder, open }, async (id) => {
        const bait = { name: `runs/attack-${randomBytes(16).toString('hex')}/${id}`, bytes: randomBytes(100) };
        assert.equal(await (await open()).putIfAbsent(bait.name, bait.bytes), 'created');
        return bait;
      });
      return results.map((result) => `${result.id} ${result.outcome}${isDangerous(result) ? '!' : ''}`);
    } finally {
      intruder.close();
    }
  }

  it('finds everything open to the key of the account, and nothing to a signature that only creates', async () => {
    const container = await server.makeContainer();
    const token = async (letters: string): Promise<StoreCredentials> => ({
      kind: 'sas',
      token: new Secret(await server.makeToken(container, letters)),
    });
    const key: StoreCredentials = { kind: 'account-key', key: new Secret(server.key) };
    assert.deepEqual(await attackWith(container, key), ['overwrite succeeded!', 'delete succeeded!']);
    assert.deepEqual(await attackWith(container, await token('rcwl')), ['overwrite succeeded!', 'delete denied']);
    assert.deepEqual(await attackWith(container, await token('rcl')), ['overwrite denied', 'delete denied']);
  });
});
