/**
 * Which network addresses a destination may resolve to. `ipaddr.js` names the range; addresses that carry an IPv4
 * address inside are judged by both.
 */
import ipaddr from 'ipaddr.js';

/** - `never`: no configuration allows it. - `private`: needs `network.allowPrivate`. - `public`: always allowed. */
export type AddressScope = 'never' | 'private' | 'public';

export interface AddressVerdict {
  readonly scope: AddressScope;
  /** The range in words, for the message. */
  readonly range: string;
}

type IPv4 = ipaddr.IPv4;
type IPv6 = ipaddr.IPv6;

/** Instance metadata of AWS, Google, Alibaba, Azure and Oracle that is not link-local anyway. */
const metadataAddresses: ReadonlySet<string> = new Set([
  '169.254.169.254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
]);

const metadataHostnames: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'metadata.azure.internal',
  'metadata.azure.com',
  'metadata.tencentyun.com',
  'instance-data',
  'instance-data.ec2.internal',
]);

/** A name that serves instance metadata, whatever it resolves to here. */
export function isMetadataHostname(hostname: string): boolean {
  return metadataHostnames.has(hostname.toLowerCase().replace(/\.$/, ''));
}

/** The verdict on a literal address; IPv6 with or without a zone, without brackets. Unparsable text is `never`. */
export function judgeAddress(text: string): AddressVerdict {
  if (!ipaddr.isValid(text)) return { scope: 'never', range: 'not an address' };
  const address = ipaddr.parse(text);
  if (address.kind() === 'ipv4') return judgeIPv4(address as IPv4);
  const outer = judgeIPv6(address as IPv6);
  return embeddedIPv4(address as IPv6)
    .map(judgeIPv4)
    .reduce(stricter, outer);
}

/** Null when every address may be used, else the first that may not: one bad answer among good ones is an attack. */
export function firstBlocked(
  addresses: readonly string[],
  allowPrivate: boolean,
): (AddressVerdict & { address: string }) | null {
  for (const address of addresses) {
    const verdict = judgeAddress(address);
    if (verdict.scope === 'never' || (verdict.scope === 'private' && !allowPrivate))
      return { address, ...verdict };
  }
  return null;
}

const neverRanges: ReadonlySet<string> = new Set(['unspecified', 'broadcast', 'multicast', 'linkLocal']);
/** IPv6 ranges that only wrap an IPv4 address, which is then the one to judge. */
const wrapperRanges: ReadonlySet<string> = new Set(['ipv4Mapped', 'rfc6145', 'rfc6052', '6to4']);

function judgeIPv4(address: IPv4): AddressVerdict {
  if (metadataAddresses.has(address.toString())) return { scope: 'never', range: 'cloud metadata' };
  const range = address.range();
  if (neverRanges.has(range)) return { scope: 'never', range };
  return { scope: range === 'unicast' ? 'public' : 'private', range };
}

function judgeIPv6(address: IPv6): AddressVerdict {
  if (metadataAddresses.has(withoutZone(address))) return { scope: 'never', range: 'cloud metadata' };
  const range = address.range();
  if (neverRanges.has(range)) return { scope: 'never', range };
  return { scope: range === 'unicast' || wrapperRanges.has(range) ? 'public' : 'private', range };
}

function withoutZone(address: IPv6): string {
  return new ipaddr.IPv6(address.parts).toRFC5952String();
}

/** Every IPv4 address the bits may stand for: mapped, translated, NAT64, 6to4, Teredo, ISATAP, IPv4-compatible. */
function embeddedIPv4(address: IPv6): IPv4[] {
  const parts = address.parts as [number, number, number, number, number, number, number, number];
  const [, p1, p2, p3, p4, p5, p6, p7] = parts;
  const range: string = address.range();
  if (range === 'ipv4Mapped' || range === 'rfc6145') return [ipv4(p6, p7)];
  // 64:ff9b:1::/48 may be used with any prefix length from /48 to /96: RFC 6052 section 2.2.
  if (range === 'rfc6052') return p2 === 0 ? [ipv4(p6, p7)] : [ipv4(p6, p7), ...shortNat64(parts)];
  if (range === '6to4') return [ipv4(p1, p2)];
  if (range === 'teredo') return [ipv4(p2, p3), ipv4(p6 ^ 0xffff, p7 ^ 0xffff)];
  if ((p4 === 0 || p4 === 0x200) && p5 === 0x5efe) return [ipv4(p6, p7)];
  const compatible = parts.slice(0, 6).every((part) => part === 0);
  return compatible && range === 'unicast' ? [ipv4(p6, p7)] : [];
}

/** The /48, /56 and /64 layouts; bits 64 to 71 are left out of the address. */
function shortNat64(parts: readonly number[]): IPv4[] {
  const [, , , p3 = 0, p4 = 0, p5 = 0] = parts;
  const middle = ((p4 & 0xff) << 8) | (p5 >> 8);
  return [
    ipv4(p3, middle),
    ipv4(((p3 & 0xff) << 8) | (p4 & 0xff), p5),
    ipv4(middle, ((p5 & 0xff) << 8) | ((parts[6] ?? 0) >> 8)),
  ];
}

function ipv4(high: number, low: number): IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}

const strictness: Readonly<Record<AddressScope, number>> = { never: 2, private: 1, public: 0 };

function stricter(one: AddressVerdict, other: AddressVerdict): AddressVerdict {
  return strictness[other.scope] > strictness[one.scope] ? other : one;
}
