import { describe, expect, it } from 'vitest';
import { classifyAddress, classifyHost } from '../../src/core/address.ts';

describe('an address', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['10.0.0.1', 'private'],
    ['127.0.0.1', 'private'],
    ['100.64.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['::1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:7f00:1', 'private'],
    ['::7f00:1', 'private'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['2002:0a00:0001::1', 'private'],
    ['169.254.169.254', 'forbidden'],
    ['[::ffff:a9fe:a9fe]', 'forbidden'],
    ['64:ff9b::169.254.169.254', 'forbidden'],
    ['64:ff9b:1::a9fe:a9fe', 'forbidden'],
    ['2002:a9fe:a9fe::', 'forbidden'],
    ['fe80::1%eth0', 'forbidden'],
    ['fd00:ec2::254', 'forbidden'],
    ['100.100.100.200', 'forbidden'],
    ['168.63.129.16', 'forbidden'],
    ['0.0.0.0', 'forbidden'],
    ['::', 'forbidden'],
    ['224.0.0.1', 'forbidden'],
    ['169.254.170.2', 'forbidden'],
    ['fd00:ec2::23', 'forbidden'],
    ['fd20:ce::254', 'forbidden'],
    ['fe80::a9fe:a9fe', 'forbidden'],
    ['192.0.0.192', 'forbidden'],
    // Other spellings of 169.254.169.254, as C libraries take them.
    ['2852039166', 'forbidden'],
    ['0xa9fea9fe', 'forbidden'],
    ['0251.0376.0251.0376', 'forbidden'],
    ['0xa9.0xfe.0xa9.0xfe', 'forbidden'],
    ['169.254.43518', 'forbidden'],
    ['169.16689662', 'forbidden'],
    // Inside IPv6.
    ['::ffff:100.100.100.200', 'forbidden'],
    ['::ffff:0:169.254.169.254', 'forbidden'],
    ['::169.254.169.254', 'forbidden'],
    ['64:ff9b::a83f:8110', 'forbidden'],
    ['64:ff9b:1:a9fe:a9:fe00::', 'forbidden'],
    ['64:ff9b:1:a9:fe:a9fe::', 'forbidden'],
    ['64:ff9b:1:0:a9:fea9:fe00:0', 'forbidden'],
    ['2002:6464:64c8::1', 'forbidden'],
    ['2001:0:a9fe:a9fe:8000:0:3f57:fefe', 'forbidden'],
    ['2001:0:808:808:8000:0:5601:5601', 'forbidden'],
    ['2001:db8::5efe:a9fe:a9fe', 'forbidden'],
    ['2606:4700::200:5efe:169.254.169.254', 'forbidden'],
    ['64:ff9b:1::8.8.8.8', 'public'],
    ['2606:4700::5efe:8.8.8.8', 'public'],
    ['[fe80::1%25eth0]', 'forbidden'],
    ['255.255.255.255', 'forbidden'],
  ])('%s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });

  it('is not what a name is', () => {
    expect(classifyAddress('example.com')).toBeNull();
    expect(classifyHost('example.com')).toBeNull();
  });
});

describe('a host name', () => {
  it.each([
    ['localhost', 'private'],
    ['LOCALHOST.', 'private'],
    ['a.localhost', 'private'],
    ['metadata.google.internal.', 'forbidden'],
    ['Metadata.Azure.Internal', 'forbidden'],
    ['169.254.169.254.', 'forbidden'],
    ['[::ffff:169.254.169.254]', 'forbidden'],
  ])('%s is %s without asking DNS', (name, expected) => {
    expect(classifyHost(name)).toBe(expected);
  });
});
