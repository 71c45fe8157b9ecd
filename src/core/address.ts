/** What kind of place an IP address or host name is, for the outbound network policy. */
import ipaddr from 'ipaddr.js';

/**
 * - `public`: anywhere on the internet.
 * - `private`: private, loopback, carrier-grade NAT and reserved ranges; reached only with `allowPrivate`.
 * - `forbidden`: link-local, cloud metadata, unspecified, multicast, broadcast; never reached.
 */
export type AddressClass = 'public' | 'private' | 'forbidden';

/** Metadata services outside 169.254.0.0/16: Alibaba, Oracle, Azure; Amazon and Google over IPv6. */
const metadataAddresses = new Set([
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd20:ce::254',
]);

const metadataNames = new Set(['metadata', 'metadata.google.internal', 'metadata.goog', 'instance-data']);

const forbiddenRanges = new Set(['linkLocal', 'unspecified', 'multicast', 'broadcast']);

/** What is said of a host that is `forbidden`. */
export const neverReached =
  'expected an address that may be reached; link-local, cloud metadata, unspecified and multicast never are';

/** Null when the text is not a literal address. Brackets and IPv6 zones are taken off. */
export function classifyAddress(literal: string): AddressClass | null {
  const text = literal.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  if (!ipaddr.isValid(text)) return null;
  const address = embeddedIPv4(ipaddr.parse(text));
  if (metadataAddresses.has(address.toString())) return 'forbidden';
  const range = address.range();
  if (forbiddenRanges.has(range)) return 'forbidden';
  return range === 'unicast' ? 'public' : 'private';
}

/** By name alone, without asking DNS: null when only a look-up can tell. */
export function classifyHost(host: string): AddressClass | null {
  const name = host.toLowerCase().replace(/\.+$/, '');
  if (metadataNames.has(name)) return 'forbidden';
  if (name === 'localhost' || name.endsWith('.localhost')) return 'private';
  return classifyAddress(name);
}

type Address = ReturnType<typeof ipaddr.parse>;

/** The IPv4 address inside a mapped, compatible, NAT64, 6to4 or Teredo one: that is where packets end up. */
function embeddedIPv4(address: Address): Address {
  if (address.kind() === 'ipv4') return address;
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === '6to4') return ipaddr.fromByteArray(bytes.slice(2, 6));
  if (range === 'teredo') return ipaddr.fromByteArray(bytes.slice(12).map((byte) => byte ^ 0xff));
  // 64:ff9b:1::/48 is the NAT64 prefix for local use (RFC 8215); networks mostly take /96 of it.
  const localNat64 = [0x00, 0x64, 0xff, 0x9b, 0x00, 0x01].every((byte, index) => bytes[index] === byte);
  const compatible =
    bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12).some((byte) => byte > 1);
  if (range === 'ipv4Mapped' || range === 'rfc6052' || range === 'rfc6145' || localNat64 || compatible) {
    return ipaddr.fromByteArray(bytes.slice(12));
  }
  return address;
}
