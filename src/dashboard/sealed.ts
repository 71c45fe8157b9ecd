/** What a browser keeps for us and can neither read nor change: encrypted, with the time until which it holds. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

export interface Seal {
  /** Of base64url's letters alone. */
  close(value: unknown, untilMs: number): string;
  /** Undefined for what is not ours, was changed, or is out of date. */
  open(text: string, nowMs?: number): unknown;
}

const ivBytes = 12;
const tagBytes = 16;

/** Every process that has the secret opens what another one closed. `purpose` keeps one kind from being taken for another. */
export function sealWith(secret: string, purpose: string): Seal {
  const key = Buffer.from(hkdfSync('sha256', secret, '', `temporal-outbox dashboard ${purpose}`, 32));
  return {
    close: (value, untilMs) => {
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv('aes-256-gcm', key, iv);
      const sealed = Buffer.concat([cipher.update(JSON.stringify({ value, untilMs })), cipher.final()]);
      return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url');
    },
    open: (text, nowMs = Date.now()) => {
      const bytes = Buffer.from(text, 'base64url');
      if (bytes.length <= ivBytes + tagBytes) return undefined;
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, ivBytes), {
          authTagLength: tagBytes,
        });
        decipher.setAuthTag(bytes.subarray(ivBytes, ivBytes + tagBytes));
        const plain = Buffer.concat([decipher.update(bytes.subarray(ivBytes + tagBytes)), decipher.final()]);
        const { value, untilMs } = JSON.parse(plain.toString()) as { value: unknown; untilMs: number };
        return untilMs > nowMs ? value : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
