import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import type { HoldfastError } from '../../../lib/index.ts';
import { openStore } from '../open-store.ts';
import { parseS3Location } from './location.ts';

describe('an address in S3', () => {
  it('names a bucket and, if wanted, a prefix', () => {
    assert.deepEqual(parseS3Location('s3://backups'), {
      ...{ bucket: 'backups', prefix: '', pathStyle: false, checksums: 'when-supported' },
    });
    for (const location of ['s3://my.Bucket_1/a/b-1', 's3://my.Bucket_1/a/b-1/', 'S3://my.Bucket_1/a/%62-1']) {
      const { bucket, prefix } = parseS3Location(location);
      assert.deepEqual([bucket, prefix], ['my.Bucket_1', 'a/b-1/']);
    }
  });

  it('takes every parameter', () => {
    const location = parseS3Location(
      's3://bb/p?region=eu-central-1&endpoint=https://s3.example.net:9000&pathStyle=false&caFile=/etc/ca.pem&proxy=http://proxy:3128&checksums=when-required&maxRate=50MiB',
    );
    assert.deepEqual(
      { ...location, endpoint: location.endpoint?.href, proxy: location.proxy?.href },
      {
        ...{ bucket: 'bb', prefix: 'p/', region: 'eu-central-1', endpoint: 'https://s3.example.net:9000/' },
        ...{ pathStyle: false, caFile: '/etc/ca.pem', proxy: 'http://proxy:3128/', checksums: 'when-required' },
        maxRate: 50 * 1024 * 1024,
      },
    );
  });

  it('puts the bucket into the path where an endpoint is named', () => {
    assert.equal(parseS3Location('s3://bb?endpoint=http://10.0.0.1:9000').pathStyle, true);
  });

  for (const [what, location, said] of [
    ['without a bucket', 's3:///x', /it does not name a bucket/],
    ['with a port', 's3://bb:80/x', /it does not name a bucket/],
    ['with a name that no bucket has', 's3://b/x', /it does not name a bucket/],
    ['with a fragment', 's3://bb/x#y', /fragment/],
    ['with an empty part', 's3://bb/a//b', /prefix is invalid/],
    ['that leads upwards', 's3://bb/a/%2e%2e%2fb', /prefix is invalid/],
    ['with a blank', 's3://bb/a%20b', /prefix is invalid/],
    ['with a lone percent sign', 's3://bb/a%', /prefix is invalid/],
    ['with a prefix that leaves no room for names', `s3://bb/${'x'.repeat(120)}`, /prefix is too long/],
    ['with a parameter that there is none of', 's3://bb?regoin=x', /"regoin" is not recognized/],
    ['with a parameter of every object', 's3://bb?constructor=x', /"constructor" is not recognized/],
    ['with a parameter twice', 's3://bb?region=a&region=b', /"region" is invalid/],
    ['with an endpoint that has a path', 's3://bb?endpoint=http://h/x', /"endpoint" is invalid/],
    ['with an endpoint of another kind', 's3://bb?endpoint=ftp://h', /"endpoint" is invalid/],
    ['with an endpoint that is none', 's3://bb?endpoint=h h', /"endpoint" is invalid/],
    ['with a region that is none', 's3://bb?region=a%20b', /"region" is invalid/],
    ['with neither true nor false', 's3://bb?pathStyle=yes', /"pathStyle" is invalid/],
    ['with a mode of checksums that there is none of', 's3://bb?checksums=never', /"checksums" is invalid/],
    ['with a rate that is none', 's3://bb?maxRate=fast', /"maxRate" is invalid/],
    ['with a rate that no connection lives on', 's3://bb?maxRate=1KiB', /"maxRate" is invalid/],
    ['without the file of the authority', 's3://bb?caFile=', /"caFile" is invalid/],
  ] as const) {
    it(`is refused ${what}, before anything is sent`, () => {
      assert.throws(() => openStore(location), { code: 'STORE_LOCATION_INVALID', message: said });
    });
  }

  it('says of an endpoint without a scheme what it lacks', () => {
    const detail =
      'Expected an address such as https://s3.example.net, without a path and without credentials, found no http:// or https:// at its start.';
    for (const endpoint of ['s3.example.net', 'localhost:9000', '10.0.0.1:9000/'])
      assert.throws(() => openStore(`s3://bb?endpoint=${endpoint}`), { code: 'STORE_LOCATION_INVALID', detail });
  });

  for (const location of [
    's3://AKIAEXAMPLE:sesame@bb/x',
    's3://sesame@bb/x',
    's3://bb/x?endpoint=https://ann:sesame@host',
    's3://bb/x?proxy=http://ann:sesame@host',
    's3://bb/x?secretAccessKey=sesame',
    's3://bb/x?sessionToken=sesame',
    's3://bb/x?region=sesame%20',
    's3://bb/x?endpoint=sesame',
  ]) {
    it(`is not repeated where it has, or may have, a secret in it: ${location}`, () => {
      const error = (() => {
        try {
          return openStore(location);
        } catch (thrown) {
          return thrown as HoldfastError;
        }
      })();
      assert.equal((error as HoldfastError).code, 'STORE_LOCATION_INVALID');
      assert.ok(!inspect(error, { depth: 10 }).replaceAll(location, '').includes('sesame'));
    });
  }
});
