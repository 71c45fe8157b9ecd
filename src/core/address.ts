/** What kind of place an IP address or host name is, for the outbound network policy. */
import ipaddr from 'ipaddr.js';

/**
 * - `public`: anywhere on the internet.
 * - `private`: private, loopback, carrier-grade NAT and reserved ranges; reached only with `allowPrivate`.
 * - `forbidden`: link-local, cloud metadata, unspecified, multicast, broadcast; never reached.
 */
export type AddressClass = 'public' | 'private' | 'forbidden';

/** Metadata services outside 169.254.0.0/16: Alibaba, Oracle, Azure; Amazon (all its services for an instance), Google and Scaleway over IPv6. */
const metadataRanges = [
  ...['100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'],
  ...['fd00:ec2::/32', 'fd20:ce::254/128', 'fd00:42::42/128'],
].map((range) => ipaddr.parseCIDR(range));

const metadataNames = new Set([
  ...['metadata', 'metadata.google.internal', 'metadata.goog', 'instance-data', 'instance-data.ec2.internal'],
  ...['metadata.azure.internal', 'metadata.azure.com', 'metadata.tencentyun.com', 'metadata.oraclecloud.com'],
]);

const forbiddenRanges = new Set(['linkLocal', 'unspecified', 'multicast', 'broadcast']);

/** What is said of a host that is `forbidden`. */
export const neverReached =
  'expected an address that may be reached; link-local, cloud metadata, unspecified and multicast never are';

/** Null when the text is not a literal address. Brackets and IPv6 zones are taken off. */
export function classifyAddress(literal: string): AddressClass | null {
  const text = literal.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  if (!ipaddr.isValid(text)) return null;
  const written = ipaddr.parse(text);
  const address = embeddedIPv4(written);
  if (isMetadata(address) || perhapsEmbedded(written).some(isMetadata)) return 'forbidden';
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

function isMetadata(address: Address): boolean {
  if (address.range() === 'linkLocal') return true;
  return metadataRanges.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
}

/**
 * IPv4 addresses that an IPv6 one may lead to, by how its network is set up: where they would be a metadata service, it is not tried.
 * Of Teredo the server; of ISATAP (RFC 5214) the host; of the NAT64 prefix for local use those of its longer prefixes (RFC 6052).
 */
function perhapsEmbedded(address: Address): Address[] {
  if (address.kind() === 'ipv4') return [];
  const bytes = address.toByteArray();
  const at = (...places: readonly number[]): Address =>
    ipaddr.fromByteArray(places.map((place) => bytes[place] ?? 0));
  const isIsatap =
    [0x00, 0x5e, 0xfe].every((byte, index) => bytes[index + 9] === byte) && ((bytes[8] ?? 0) & ~3) === 0;
  return [
    ...(address.range() === 'teredo' ? [at(4, 5, 6, 7)] : []),
    ...(isIsatap ? [at(12, 13, 14, 15)] : []),
    ...(isLocalNat64(bytes) ? [at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)] : []),
  ];
}

/** 64:ff9b:1::/48, the NAT64 prefix for local use (RFC 8215); networks mostly take /96 of it. */
function isLocalNat64(bytes: readonly number[]): boolean {
  return [0x00, 0x64, 0xff, 0x9b, 0x00, 0x01].every((byte, index) => bytes[index] === byte);
}

/** The IPv4 address inside a mapped, compatible, NAT64, 6to4 or Teredo one: that is where packets end up. */
function embeddedIPv4(address: Address): Address {
  if (address.kind() === 'ipv4') return address;
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === '6to4') return ipaddr.fromByteArray(bytes.slice(2, 6));
  if (range === 'teredo') return ipaddr.fromByteArray(bytes.slice(12).map((byte) => byte ^ 0xff));
  const localNat64 = isLocalNat64(bytes);
  const compatible =
    bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12).some((byte) => byte > 1);
  if (range === 'ipv4Mapped' || range === 'rfc6052' || range === 'rfc6145' || localNat64 || compatible) {
    return ipaddr.fromByteArray(bytes.slice(12));
  }
  return address;
}
