import { readFile, stat } from 'node:fs/promises';
import { base64Bytes } from '../core/base64.ts';
import { payloadBytesMax, readPayload, type PayloadSource } from './arguments.ts';
import { refuseUsage } from './failure.ts';

/** `--payload`, `--file`: JSON. `--payload-file`, `--payload-base64`: bytes. */
export interface AnyPayloadSource extends PayloadSource {
  readonly payloadFile?: string;
  readonly payloadBase64?: string;
}

const sources: readonly (readonly [keyof AnyPayloadSource, string])[] = [
  ['payload', '--payload'],
  ['file', '--file'],
  ['payloadFile', '--payload-file'],
  ['payloadBase64', '--payload-base64'],
];

export type PayloadGiven = { readonly payloadText: string } | { readonly payloadBytes: Uint8Array };

/** Undefined when none was given. JSON as {@link readPayload}; bytes as they are. */
export async function readPayloadGiven(
  options: AnyPayloadSource,
  stdin: 'read' | 'ignore',
): Promise<PayloadGiven | undefined> {
  const { payloadFile, payloadBase64 } = options;
  const [first, second] = sources.filter(([key]) => options[key] !== undefined);
  if (first !== undefined && second !== undefined) refuseUsage(`give ${first[1]} or ${second[1]}, not both`);
  if (payloadFile !== undefined) return { payloadBytes: await readBytes(payloadFile) };
  if (payloadBase64 !== undefined) {
    const payloadBytes = base64Bytes(payloadBase64.trim());
    if (payloadBytes === undefined) refuseUsage('--payload-base64 is not base64');
    return { payloadBytes: fitting(payloadBytes, '--payload-base64') };
  }
  const payloadText = await readPayload(options, stdin);
  return payloadText === undefined ? undefined : { payloadText };
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    if (path === '-') return fitting(await readStdin(), 'stdin');
    const { size } = await stat(path);
    if (size > payloadBytesMax) return tooLarge(path);
    return fitting(await readFile(path), path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || code.startsWith('OUTBOX_')) throw error;
    return refuseUsage(`${path} cannot be read (${code})`);
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > payloadBytesMax) return tooLarge('stdin');
  }
  return Buffer.concat(chunks);
}

function fitting(bytes: Uint8Array, where: string): Uint8Array {
  return bytes.length > payloadBytesMax ? tooLarge(where) : bytes;
}

function tooLarge(where: string): never {
  return refuseUsage(`${where} is larger than ${payloadBytesMax} bytes, the most a payload has`);
}
