import { promisify } from 'node:util';
import { gunzip, inflateRaw } from 'node:zlib';

const gunzipAsync = promisify(gunzip);
const inflateAsync = promisify(inflateRaw);

/**
 * One file out of a .tar.gz, or null where no entry's path ends in `name`. Enough of the format for release
 * archives: plain entries; their content is a copy in memory.
 */
export async function fileFromTarGz(archive: Buffer, name: string): Promise<Buffer | null> {
  const tar = await gunzipAsync(archive);
  const blockBytes = 512;
  for (let at = 0; at + blockBytes <= tar.length;) {
    const path = textUntilNul(tar.subarray(at, at + 100));
    if (path === '') return null;
    const size = Number.parseInt(textUntilNul(tar.subarray(at + 124, at + 136)).trim(), 8);
    const from = at + blockBytes;
    if (hasName(path, name)) return whole(tar, from, size);
    at = from + Math.ceil(size / blockBytes) * blockBytes;
  }
  return null;
}

/** One file out of a .zip (a Python wheel is one), found by its directory; stored or deflated entries, no zip64. */
export async function fileFromZip(archive: Buffer, name: string): Promise<Buffer | null> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  if (end < 0) throw new Error('not a zip archive, or not all of it');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const nameBytes = archive.readUInt16LE(at + 28);
    const path = archive.toString('utf8', at + 46, at + 46 + nameBytes);
    if (hasName(path, name)) return readZipEntry(archive, at);
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return null;
}

async function readZipEntry(archive: Buffer, directoryAt: number): Promise<Buffer> {
  const method = archive.readUInt16LE(directoryAt + 10);
  const packedBytes = archive.readUInt32LE(directoryAt + 20);
  const at = archive.readUInt32LE(directoryAt + 42);
  // The local header repeats name and extra field, with lengths of its own.
  const from = at + 30 + archive.readUInt16LE(at + 26) + archive.readUInt16LE(at + 28);
  const packed = whole(archive, from, packedBytes);
  if (method === 0) return packed;
  if (method !== 8) throw new Error(`zip method ${method} is not known here`);
  return inflateAsync(packed);
}

function hasName(path: string, name: string): boolean {
  return path === name || path.endsWith(`/${name}`);
}

function whole(buffer: Buffer, from: number, size: number): Buffer {
  if (from + size > buffer.length) throw new Error('the archive ends too early');
  return buffer.subarray(from, from + size);
}

function textUntilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
