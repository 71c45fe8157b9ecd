/** The keys of outbox.yaml for `type: sqs`. */
import { bounds } from '../../settings/limits.ts';
import { oneOf, secret, section, text, type InputOf } from '../../settings/shapes.ts';

const address = (what: string) => text(bounds.urlLength, what);

export const sqsKeys = {
  queueUrl: address('the URL of a queue').describe(
    'https://sqs.<region>.amazonaws.com/<account>/<queue>; of a FIFO queue it ends with .fifo. ${NAME} is filled in.',
  ),
  region: text({ min: 1, max: 64 }, 'a region').optional().describe('Default: the one in queueUrl.'),
  endpoint: address('an http:// or https:// address')
    .optional()
    .describe('Where requests go, if not where queueUrl leads. ${NAME} is filled in.'),
  group: text({ min: 1, max: 1024 }, 'a message group')
    .optional()
    .describe(
      'A template. Default for FIFO queues: the key, or the id of an event without one; for others none.',
    ),
  credentials: section({
    accessKeyId: secret().describe('env:NAME'),
    secretAccessKey: secret().describe('env:NAME'),
    sessionToken: secret().optional().describe('env:NAME'),
  })
    .optional()
    .describe("Default: what the AWS SDK finds (role, profile, environment), for Amazon's own hosts alone."),
  cloudEvents: oneOf(['none', 'structured']).optional().describe('Default none.'),
};

export type SqsInput = InputOf<typeof sqsKeys>;

export interface SqsSettings {
  /** As written. */
  readonly queueUrl: string;
  readonly region: string | null;
  readonly endpoint: string | null;
  readonly group: string | null;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string | null;
  } | null;
  readonly cloudEvents: 'none' | 'structured';
}

export function normaliseSqs({
  queueUrl,
  region,
  endpoint,
  group,
  credentials,
  cloudEvents,
}: SqsInput): SqsSettings {
  return {
    queueUrl,
    region: region ?? null,
    endpoint: endpoint ?? null,
    group: group ?? null,
    credentials:
      credentials === undefined ? null : { ...credentials, sessionToken: credentials.sessionToken ?? null },
    cloudEvents: cloudEvents ?? 'none',
  };
}
