/** The contract's example, with what this version does, and an environment that satisfies it. */
export const contractExample = `name: orders
destinations:
  billing:
    type: http
    url: \${BILLING_URL}
    timeout: 15s
    retry:
      initialInterval: 5s
      backoffCoefficient: 3
      maximumInterval: 1h
      maximumAttempts: 12
      scheduleToCloseTimeout: 72h
      jitter: 0.2
      retryAfter: { honor: true, maximum: 1h }
      nonRetryableStatusCodes: [400, 401, 403, 404, 405, 410, 413, 415, 422, 501]
    signing: { scheme: standard-webhooks, secrets: [env:BILLING_SECRET] }
    ordering: none
    onPark: block
    concurrency: 50
    batch: { maximum: 2000, inFlight: 2, splitUpTo: 5 }
    network: { allowPrivate: true }
routes:
  - match: order.*
    where: '$.total ? (@ > 100)'
    to: [billing]
`;

export const environment = {
  BILLING_URL: 'http://billing.test/hooks',
  BILLING_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  EMPTY: '',
  SHORT: 'whsec_c2hvcnQ=',
  LINES: 'one\ntwo',
  METADATA: 'http://169.254.169.254/latest',
};

/** One http destination `billing` and one route; `lines` go into the destination, from line 5 on. */
export function withLines(...lines: string[]): string {
  return [
    'destinations:',
    '  billing:',
    '    type: http',
    '    url: http://billing.test/',
    ...lines.map((line) => `    ${line}`),
    'routes:',
    "  - { match: '*', to: [billing] }",
    '',
  ].join('\n');
}
