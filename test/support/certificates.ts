import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';

/** A certificate with its key, both as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority that exists for one test. */
export interface TestAuthority extends Certificate {
  /** A certificate for a server with the given names (addresses are recognized), or for a client by the first of them. */
  issue(names: readonly string[], validity?: Validity): Certificate;
  /** A revocation list with these certificates on it, as PEM. */
  revoke(...certificates: readonly Certificate[]): string;
}

/** From and until when, in the form of RFC 5280: YYMMDDHHMMSSZ. */
export type Validity = readonly [from: string, until: string];

/** Long past and long to come. */
const ALWAYS: Validity = ['200101000000Z', '491231235959Z'];

/** Before any test of today. */
export const EXPIRED: Validity = ['200101000000Z', '200102000000Z'];

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
    certificate: certify({
      subject: name,
      key: publicKey,
      issuer: name,
      issuerKey: privateKey,
      extensions: isAuthority,
    }),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    issue(names, validity = ALWAYS) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = names.map((entry) =>
        /^[0-9.]+$/.test(entry) ? der(0x87, Buffer.from(entry.split('.').map(Number))) : der(0x82, Buffer.from(entry)),
      );
      const extensions = extension(OID.subjectAlternativeName, der(SEQUENCE, ...alternatives));
      return {
        certificate: certify({
          ...{ subject: names[0] ?? 'server', key: pair.publicKey, issuer: name, issuerKey: privateKey },
          ...{ extensions, validity },
        }),
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      };
    },
    revoke(...certificates) {
      const entries = certificates.map(({ certificate }) => {
        const { serialNumber } = new X509Certificate(certificate);
        return der(SEQUENCE, der(0x02, Buffer.from(serialNumber, 'hex')), utcTime(ALWAYS[0]));
      });
      const body = der(
        SEQUENCE,
        der(0x02, Buffer.of(1)),
        ALGORITHM,
        distinguishedName(name),
        utcTime(ALWAYS[0]),
        utcTime(ALWAYS[1]),
        ...(entries.length === 0 ? [] : [der(SEQUENCE, ...entries)]),
      );
      return signed(body, privateKey, 'X509 CRL');
    },
  };
}

interface CertificateParts {
  readonly subject: string;
  readonly key: KeyObject;
  readonly issuer: string;
  readonly issuerKey: KeyObject;
  readonly extensions: Buffer;
  readonly validity?: Validity;
}

function certify({ subject, key, issuer, issuerKey, extensions, validity = ALWAYS }: CertificateParts): string {
  const body = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ALGORITHM,
    distinguishedName(issuer),
    der(SEQUENCE, utcTime(validity[0]), utcTime(validity[1])),
    distinguishedName(subject),
    createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, extensions)),
  );
  return signed(body, issuerKey, 'CERTIFICATE');
}

function signed(body: Buffer, key: KeyObject, label: string): string {
  const whole = der(SEQUENCE, body, ALGORITHM, der(0x03, Buffer.of(0), sign('sha256', body, key)));
  const lines = whole.toString('base64').replaceAll(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
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

const ALGORITHM = der(SEQUENCE, der(0x06, Buffer.from(OID.ecdsaWithSha256, 'hex')));

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}
