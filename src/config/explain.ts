/** What a configuration comes to, for `config explain`: each destination's address, attempts and routes. */
import type {
  CredentialsConfig,
  DestinationConfig,
  OutboxConfig,
  RateLimit,
  RouteConfig,
} from '../core/destination.ts';
import { describeDuration } from '../core/duration.ts';
import { expandEnvironment } from '../core/environment.ts';
import { formatListen } from '../core/listen.ts';
import type { ProducerConfig } from '../core/producer.ts';
import { timetable, type ParkReason, type TimetableEntry } from '../core/retry.ts';
import { secretName, type Environment } from '../core/secrets.ts';

export interface DestinationExplanation {
  readonly name: string;
  readonly type: DestinationConfig['type'];
  readonly method: string;
  /** With the environment filled in, query values and variables named like secrets masked; null if one is missing. */
  readonly address: string | null;
  /** As written in the file. */
  readonly url: string;
  readonly missingVariables: readonly string[];
  /** `env:NAME` as written; `inline` for a secret that stands in the file. Null when messages are not signed. */
  readonly signedWith: readonly string[] | null;
  readonly auth: CredentialsConfig['kind'] | null;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly rateLimit: RateLimit | null;
  readonly ordering: DestinationConfig['ordering'];
  /** Null without order. */
  readonly onPark: DestinationConfig['onPark'] | null;
  /** Attempts of an event that is refused every time, without jitter and without the attempts' own duration. */
  readonly attempts: readonly TimetableEntry[];
  readonly givesUpAfterMs: number;
  readonly givesUpBecause: Exclude<ParkReason, 'permanent'>;
  readonly scheduleToCloseTimeoutMs: number;
  readonly jitter: number;
  readonly parksAtOnceOn: readonly number[];
  readonly routes: readonly Pick<RouteConfig, 'match' | 'where'>[];
}

export interface ProducerExplanation {
  readonly name: string;
  /** Of its check-back, as a destination's; null where a worker's handler is asked. */
  readonly address: string | null;
  readonly url: string | null;
  readonly handler: string | null;
  readonly missingVariables: readonly string[];
  readonly signedWith: readonly string[] | null;
  readonly auth: CredentialsConfig['kind'] | null;
  readonly timeoutMs: number;
  /** When a message is asked about that stays unknown, from its prepare on. */
  readonly checksAtMs: readonly number[];
}

export interface ApiExplanation {
  /** `host:port` */
  readonly listen: string;
  /** `env:NAME` as written; `inline` for a token that stands in the file. */
  readonly tokens: readonly string[];
}

export interface ConfigExplanation {
  readonly name: string | null;
  readonly destinations: readonly DestinationExplanation[];
  readonly producers: readonly ProducerExplanation[];
  readonly api: ApiExplanation | null;
  /** The same for people; ends with a line break. */
  readonly text: string;
}

/** Never throws for a missing variable and never contains a secret. */
export function explainConfig(config: OutboxConfig, env: Environment = process.env): ConfigExplanation {
  const destinations = config.destinations.map((destination) =>
    explainDestination(destination, config.routes, env),
  );
  const producers = config.producers.map((producer) => explainProducer(producer, env));
  const api =
    config.api === null
      ? null
      : { listen: formatListen(config.api.listen), tokens: withoutInline(config.api.tokens) };
  const parts = [
    ...destinations.map(explanationText),
    ...producers.map(producerText),
    ...(api === null ? [] : [apiText(api)]),
  ];
  return { name: config.name, destinations, producers, api, text: `${parts.join('\n\n')}\n` };
}

function withoutInline(secrets: readonly string[]): readonly string[] {
  return secrets.map((secret) => (secretName(secret) === null ? 'inline' : secret));
}

function explainProducer(
  { name, graceMs, scheduleMs, checkBack }: ProducerConfig,
  env: Environment,
): ProducerExplanation {
  const checksAtMs = [graceMs];
  for (const delayMs of scheduleMs) checksAtMs.push((checksAtMs.at(-1) as number) + delayMs);
  const { timeoutMs } = checkBack;
  if (checkBack.kind === 'handler') {
    const none = { address: null, url: null, missingVariables: [], signedWith: null, auth: null };
    return { name, ...none, handler: checkBack.handler, timeoutMs, checksAtMs };
  }
  const { url, signing, auth } = checkBack;
  return {
    ...{ name, handler: null, ...explainAddress(url, env), timeoutMs, checksAtMs },
    signedWith: signing === null ? null : withoutInline(signing.secrets),
    auth: auth?.kind ?? null,
  };
}

function explainDestination(
  destination: DestinationConfig,
  routes: readonly RouteConfig[],
  env: Environment,
): DestinationExplanation {
  const { name, retry, signing } = destination;
  const attempts = timetable(retry);
  return {
    name,
    type: destination.type,
    method: destination.method,
    ...explainAddress(destination.url, env),
    signedWith: signing === null ? null : withoutInline(signing.secrets),
    auth: destination.auth?.kind ?? null,
    timeoutMs: destination.timeoutMs,
    concurrency: destination.concurrency,
    rateLimit: destination.rateLimit,
    ordering: destination.ordering,
    onPark: destination.ordering === 'key' ? destination.onPark : null,
    attempts,
    givesUpAfterMs: attempts.at(-1)?.sinceFirstMs ?? 0,
    givesUpBecause: attempts.length < retry.maximumAttempts ? 'schedule-to-close' : 'attempts-exhausted',
    scheduleToCloseTimeoutMs: retry.scheduleToCloseTimeoutMs,
    jitter: retry.jitter,
    parksAtOnceOn: retry.nonRetryableStatusCodes,
    routes: routes.filter(({ to }) => to.includes(name)).map(({ match, where }) => ({ match, where })),
  };
}

function explainAddress(url: string, env: Environment) {
  const { missing } = expandEnvironment(url, env);
  const shown = Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      /secret|token|key|passw|credential/i.test(name) ? '***' : value,
    ]),
  );
  const { text } = expandEnvironment(url, shown);
  return { url, missingVariables: missing, address: missing.length > 0 ? null : maskAddress(text) };
}

function maskAddress(address: string): string | null {
  if (!URL.canParse(address)) return null;
  const { protocol, host, pathname, search } = new URL(address);
  return `${protocol}//${host}${pathname}${search.replace(/=[^&]*/g, '=***')}`;
}

function explanationText(explanation: DestinationExplanation): string {
  const rows: [string, string][] = [
    ['address', addressText(explanation)],
    ['deadline', `${describeDuration(explanation.timeoutMs)} an attempt, ${explanation.concurrency} at once`],
    ...(explanation.onPark === null ? [] : [['order', orderText(explanation.onPark)] as [string, string]]),
    ...(explanation.rateLimit === null
      ? []
      : [['rate', rateText(explanation.rateLimit)] as [string, string]]),
    ['signed', explanation.signedWith === null ? 'no' : `yes, with ${explanation.signedWith.join(', ')}`],
    ['login', explanation.auth ?? 'none'],
    ['attempts', attemptsText(explanation)],
    ['unreachable', unreachableText(explanation)],
    ['parks at once', explanation.parksAtOnceOn.join(', ') || 'on no status'],
    ...routesText(explanation),
  ];
  return section(`${explanation.name} (${explanation.type})`, rows);
}

function section(title: string, rows: readonly [string, string][]): string {
  const lines = rows.map(([label, text]) => `  ${label.padEnd(labelWidth)}${wrap(text)}`);
  return [title, ...lines].join('\n');
}

function producerText(producer: ProducerExplanation): string {
  const { name, handler, url, timeoutMs, checksAtMs, signedWith, auth } = producer;
  const asked = checksAtMs
    .map((at, index) => unbroken(`${index + 1} after ${describeDuration(at)}`))
    .join(', ');
  const byHttp: [string, string][] =
    url === null
      ? []
      : [
          ['signed', signedWith === null ? 'no' : `yes, with ${signedWith.join(', ')}`],
          ['login', auth ?? 'none'],
        ];
  return section(`${name} (producer of half messages)`, [
    ['check-back', url === null ? `handler ${handler}` : addressText({ ...producer, url, method: 'POST' })],
    ['deadline', `${describeDuration(timeoutMs)} a check-back`],
    ...byHttp,
    ['asked', `${asked}; then it is parked`],
  ]);
}

function apiText({ listen, tokens }: ApiExplanation): string {
  return section('HTTP API', [
    ['listens on', listen],
    ['tokens', tokens.length === 0 ? 'none: whoever reaches the port may write' : tokens.join(', ')],
  ]);
}

const labelWidth = 15;
const textWidth = 80;

function addressText({
  method,
  address,
  url,
  missingVariables,
}: Pick<DestinationExplanation, 'method' | 'address' | 'url' | 'missingVariables'>): string {
  if (missingVariables.length > 0) return `${method} ${url} (not set: ${missingVariables.join(', ')})`;
  return `${method} ${address ?? url}`;
}

function orderText(onPark: DestinationConfig['onPark']): string {
  const parked = onPark === 'block' ? 'holds its key up' : 'lets its key pass';
  return `by key, one after another; a parked event ${parked}`;
}

function rateText({ limit, perMs }: RateLimit): string {
  return `at most ${limit} in ${describeDuration(perMs)}, retries included`;
}

/** Long timetables show how they begin and how they end. */
const attemptsShown = 15;

function attemptsText({ attempts, givesUpAfterMs, givesUpBecause, jitter }: DestinationExplanation): string {
  const shown = attempts.filter((_, index) => index < attemptsShown || index === attempts.length - 1);
  const parts = shown.map(({ attempt, sinceFirstMs }) =>
    attempt === 1 ? 'attempt 1 at once' : `${attempt} after ${describeDuration(sinceFirstMs)}`,
  );
  if (shown.length < attempts.length) parts.splice(-1, 0, '…');
  const spread = jitter === 0 ? '' : `, ${unbroken(`each delay ± ${Math.round(jitter * 100)} %`)}`;
  const end = attempts.length === 1 ? 'no second one' : `gives up after ${describeDuration(givesUpAfterMs)}`;
  const why = givesUpBecause === 'schedule-to-close' ? ' (the next would exceed scheduleToCloseTimeout)' : '';
  return `${parts.map(unbroken).join(', ')}; ${unbroken(end)}${why}${spread}`;
}

function unreachableText({ scheduleToCloseTimeoutMs }: DestinationExplanation): string {
  const budget = describeDuration(scheduleToCloseTimeoutMs);
  return `network errors, timeouts, 429, 502, 503, 504 cost no attempt; tried for ${budget}`;
}

function routesText({ routes }: DestinationExplanation): [string, string][] {
  if (routes.length === 0) return [['routes', 'none']];
  return routes.map(({ match, where }, index) => {
    const filter = where === null ? '' : ` where ${where.replace(/\s+/g, ' ')}`;
    return [index === 0 ? 'routes' : '', `${match}${filter}`];
  });
}

/** Stays on one line. */
function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}

function wrap(text: string): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string;
    if (line !== '' && line.length + word.length >= textWidth) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join(`\n${' '.repeat(labelWidth + 2)}`).replaceAll('\u00a0', ' ');
}
