import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A certificate with its key, both as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority that exists for one test. */
export interface TestAuthority extends Certificate {
  /** A certificate for a server with the given names (addresses are recognized). */
  issue(names: readonly string[]): Certificate;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const OID = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  basicConstraints: '551d13',
  subjectAlternativeName: '551d11',
} as const;

/** Makes an authority. Node can read certificates but not make them, so that the few fields are put together here (RFC 5280). */
export function makeAuthority(name = 'Holdfast test authority'): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const isAuthority = extension(OID.basicConstraints, der(SEQUENCE, der(0x01, Buffer.of(0xff))));
  return {
    certificate: certify(name, publicKey, name, privateKey, isAuthority),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    issue(names) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = names.map((entry) =>
        /^[0-9.]+$/.test(entry) ? der(0x87, Buffer.from(entry.split('.').map(Number))) : der(0x82, Buffer.from(entry)),
      );
      const extensions = extension(OID.subjectAlternativeName, der(SEQUENCE, ...alternatives));
      return {
        certificate: certify(names[0] ?? 'server', pair.publicKey, name, privateKey, extensions),
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      };
    },
  };
}

function certify(subject: string, key: KeyObject, issuer: string, issuerKey: KeyObject, extensions: Buffer): string {
  const algorithm = der(SEQUENCE, der(0x06, Buffer.from(OID.ecdsaWithSha256, 'hex')));
  const body = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    distinguishedName(issuer),
    der(SEQUENCE, utcTime('200101000000Z'), utcTime('491231235959Z')),
    distinguishedName(subject),
    createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, extensions)),
  );
  const signature = sign('sha256', body, issuerKey);
  const whole = der(SEQUENCE, body, algorithm, der(0x03, Buffer.of(0), signature));
  const lines = whole.toString('base64').replaceAll(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
}

function distinguishedName(name: string): Buffer {
  const type = der(0x06, Buffer.from(OID.commonName, 'hex'));
  return der(SEQUENCE, der(SET, der(SEQUENCE, type, der(0x0c, Buffer.from(name)))));
}

function extension(oid: string, value: Buffer): Buffer {
  return der(SEQUENCE, der(0x06, Buffer.from(oid, 'hex')), der(0x04, value));
}

function utcTime(text: string): Buffer {
  return der(0x17, Buffer.from(text));
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}
