/** The demo's outbox.yaml: retries within a second or two, so that nobody has to wait for the story to go on. */
export const demoConfigText = `destinations:
  billing:
    type: http
    url: \${DEMO_BILLING_URL}
    timeout: 5s
    retry:
      initialInterval: 500ms
      backoffCoefficient: 2
      maximumAttempts: 5
    signing: { scheme: standard-webhooks, secrets: [env:DEMO_BILLING_SECRET] }
routes:
  - match: order.*
    to: [billing]
`;
