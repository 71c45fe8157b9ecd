/** Defaults and bounds of what is particular to HTTP; settings/limits.ts has those of every destination. */

export const httpDefaults = {
  method: 'POST',
  idempotencyKey: { quoted: true },
  cloudEvents: 'none',
  network: { allowPrivate: true },
  responseExcerpt: 512,
  retry: { nonRetryableStatusCodes: [400, 401, 403, 404, 405, 410, 413, 415, 422, 501] },
  circuit: { probeUrl: null },
} as const;

export const httpBounds = {
  statusCode: { min: 300, max: 599 },
  responseExcerpt: { min: 0, max: 4096 },
  headers: { min: 0, max: 50 },
  /** Several only while keys rotate; receivers compare each. */
  signingSecrets: { min: 1, max: 5 },
} as const;
