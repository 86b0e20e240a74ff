import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ContainerClient } from '@azure/storage-blob';
import { type AzureServer, startAzureServer } from './azure-server.ts';

/** What the tests of the Azure driver rest on: were the server lenient here, they would prove nothing. */
describe('the Azure server of the tests', () => {
  let server: AzureServer;

  before(async () => {
    server = await startAzureServer();
  });
  after(() => server?.stop());

  const codeOf = (error: unknown) => (error as { statusCode?: number }).statusCode;
  const create = { conditions: { ifNoneMatch: '*' } };

  it('creates once', async () => {
    const container = server.client().getContainerClient(await server.makeContainer());
    const tries = Array.from({ length: 8 }, (_, i) => container.getBlockBlobClient('a').upload(String(i), 1, create));
    const outcomes = await Promise.allSettled(tries);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('lets a token do what it is for, where it is for, and as long as it is good', async () => {
    const name = await server.makeContainer();
    const open = (container: string, token: string) => new ContainerClient(`${server.endpoint}/${container}?${token}`);
    const reader = await server.makeToken(name, 'rl');
    const writer = await server.makeToken(name, 'rcl');
    await open(name, writer).getBlockBlobClient('a').upload('x', 1, create);
    assert.equal(String(await open(name, reader).getBlobClient('a').downloadToBuffer()), 'x');
    const refused = (error: unknown) => codeOf(error) === 403;
    await assert.rejects(open(name, reader).getBlockBlobClient('b').upload('x', 1), refused);
    await assert.rejects(
      open(await server.makeContainer(), writer)
        .getBlockBlobClient('b')
        .upload('x', 1),
      refused,
    );
    const expired = await server.makeToken(name, 'rl', -1_000);
    await assert.rejects(open(name, expired).getBlobClient('a').downloadToBuffer(), refused);
  });
});
