/** Whether a content type says JSON: `application/json`, `application/vnd.api+json`, with parameters or without. */
export function isJsonType(contentType: string): boolean {
  return /^[^/;\s]+\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(contentType);
}
