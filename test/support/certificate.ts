/** Certificates made afresh: a key kept in the repository would look like a leak. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** PEM. */
export interface Certified {
  readonly key: string;
  readonly cert: string;
}

/** For localhost, vouched for by nobody. */
export function selfSigned(): Certified {
  const keys = newKeys();
  return certified(keys, { name: 'localhost', issuer: 'localhost', signedBy: keys.privateKey });
}

/** An authority of its own, and certificates for localhost that it vouches for, of servers and of clients. */
export function authority(): { readonly cert: string; readonly issue: () => Certified } {
  const keys = newKeys();
  const issuer = 'an authority of tests';
  const signedBy = keys.privateKey;
  return {
    cert: certified(keys, { name: issuer, issuer, signedBy, isAuthority: true }).cert,
    issue: () => certified(newKeys(), { name: 'localhost', issuer, signedBy }),
  };
}

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

function newKeys(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

function certified(
  { publicKey, privateKey }: KeyPair,
  about: {
    readonly name: string;
    readonly issuer: string;
    readonly signedBy: KeyObject;
    readonly isAuthority?: boolean;
  },
): Certified {
  const algorithm = sequence(objectId('2a8648ce3d040302'));
  const named = (name: string) =>
    sequence(der(0x31, sequence(objectId('550403'), der(0x0c, Buffer.from(name)))));
  const alternative = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])));
  const critical = der(0x01, Buffer.from([0xff]));
  const constraints = sequence(objectId('551d13'), critical, der(0x04, sequence(critical)));
  const extensions = sequence(
    about.isAuthority === true ? constraints : sequence(objectId('551d11'), der(0x04, alternative)),
  );
  const toBeSigned = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1, ...randomBytes(7)])),
    algorithm,
    named(about.issuer),
    sequence(time('20000101000000Z'), time('20990101000000Z')),
    named(about.name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', toBeSigned, about.signedBy));
  const base64 = sequence(toBeSigned, algorithm, signature).toString('base64');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function objectId(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

function time(text: string): Buffer {
  return der(0x18, Buffer.from(text));
}

/** One value of ASN.1's distinguished encoding: tag, length, content. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
