/**
 * What a text in base64 stands for, in the standard alphabet and padded; undefined where it is none. Buffer.from alone takes anything, and
 * leaves out what it does not know.
 */
export function base64Bytes(text: string): Buffer | undefined {
  return isBase64(text) ? Buffer.from(text, 'base64') : undefined;
}

export function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}
