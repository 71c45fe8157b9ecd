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
  ])('%s is %s without asking DNS', (name, expected) => {
    expect(classifyHost(name)).toBe(expected);
  });
});
