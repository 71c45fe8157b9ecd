/** What a configuration comes to, for `config explain`: each destination's address, attempts and routes. */
import type {
  DestinationConfig,
  OutboxConfig,
  RateLimit,
  ResolutionRules,
  TwoPersons,
  RouteConfig,
} from '../core/destination.ts';
import { describeDuration } from '../core/duration.ts';
import { formatListen } from '../core/listen.ts';
import type { ProducerConfig } from '../core/producer.ts';
import { timetable, type ParkReason, type TimetableEntry } from '../core/retry.ts';
import type { Environment } from '../core/secrets.ts';
import {
  addressText,
  explainRequest,
  requestRows,
  withoutInline,
  type RequestExplanation,
} from '../destination/http/explain.ts';
import { builtInTypes, type DestinationTypes } from '../destination/registry.ts';
import type { Explanation } from '../destination/type.ts';
import { printRows, unbroken, type Row } from '../settings/printedRows.ts';
import { sampleFor } from './sample.ts';

/** Beside these, what the destination's type has to say of it: an http destination's `address`, `signedWith` and more. */
export interface DestinationExplanation {
  readonly [fact: string]: unknown;
  readonly name: string;
  readonly type: string;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly rateLimit: RateLimit | null;
  readonly ordering: DestinationConfig['ordering'];
  /** Null without order. */
  readonly onPark: DestinationConfig['onPark'] | null;
  /** Null: anyone may do anything. */
  readonly resolutions: ResolutionRules | null;
  readonly runbook: string | null;
  /** Attempts of an event that is refused every time, without jitter and without the attempts' own duration. */
  readonly attempts: readonly TimetableEntry[];
  readonly givesUpAfterMs: number;
  readonly givesUpBecause: Exclude<ParkReason, 'permanent'>;
  readonly scheduleToCloseTimeoutMs: number;
  readonly jitter: number;
  readonly routes: readonly Pick<RouteConfig, 'match' | 'where'>[];
}

export interface ProducerExplanation extends Omit<RequestExplanation, 'url'> {
  readonly name: string;
  /** Of its check-back, as written; null where a worker's handler is asked. */
  readonly url: string | null;
  readonly handler: string | null;
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
export function explainConfig(
  config: OutboxConfig,
  env: Environment = process.env,
  types: DestinationTypes = builtInTypes,
): ConfigExplanation {
  const explained = config.destinations.map((destination) => {
    const sample = sampleFor(destination, config.routes);
    const own = types.need(destination.type).explain(destination, { env, sample });
    return { own, explanation: explainDestination(destination, config.routes, own) };
  });
  const destinations = explained.map(({ explanation }) => explanation);
  const producers = config.producers.map((producer) => explainProducer(producer, env));
  const api =
    config.api === null
      ? null
      : { listen: formatListen(config.api.listen), tokens: withoutInline(config.api.tokens) };
  const parts = [
    ...explained.map(({ own, explanation }) => destinationText(explanation, own)),
    ...producers.map(producerText),
    ...(api === null ? [] : [apiText(api)]),
  ];
  return { name: config.name, destinations, producers, api, text: `${parts.join('\n\n')}\n` };
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
  return { name, handler: null, ...explainRequest(checkBack, env), timeoutMs, checksAtMs };
}

function explainDestination(
  destination: DestinationConfig,
  routes: readonly RouteConfig[],
  { facts }: Explanation,
): DestinationExplanation {
  const { name, retry } = destination;
  const attempts = timetable(retry);
  return {
    ...facts,
    name,
    type: destination.type,
    timeoutMs: destination.timeoutMs,
    concurrency: destination.concurrency,
    rateLimit: destination.rateLimit,
    ordering: destination.ordering,
    onPark: destination.ordering === 'key' ? destination.onPark : null,
    resolutions: destination.resolutions ?? null,
    runbook: destination.runbook ?? null,
    attempts,
    givesUpAfterMs: attempts.at(-1)?.sinceFirstMs ?? 0,
    givesUpBecause: attempts.length < retry.maximumAttempts ? 'schedule-to-close' : 'attempts-exhausted',
    scheduleToCloseTimeoutMs: retry.scheduleToCloseTimeoutMs,
    jitter: retry.jitter,
    routes: routes.filter(({ to }) => to.includes(name)).map(({ match, where }) => ({ match, where })),
  };
}

function destinationText(explanation: DestinationExplanation, own: Explanation): string {
  const rows: Row[] = [
    ['address', own.address],
    ['deadline', `${describeDuration(explanation.timeoutMs)} an attempt, ${explanation.concurrency} at once`],
    ...(explanation.onPark === null ? [] : [['order', orderText(explanation.onPark)] as const]),
    ...(explanation.rateLimit === null ? [] : [['rate', rateText(explanation.rateLimit)] as const]),
    ...own.rows,
    ['attempts', attemptsText(explanation)],
    ...own.answers,
    ...parkedText(explanation),
    ...routesText(explanation),
  ];
  return printRows(`${explanation.name} (${explanation.type})`, rows);
}

function producerText(producer: ProducerExplanation): string {
  const { name, handler, url, timeoutMs, checksAtMs } = producer;
  const asked = checksAtMs
    .map((at, index) => unbroken(`${index + 1} after ${describeDuration(at)}`))
    .join(', ');
  const request = url === null ? null : { ...producer, url };
  return printRows(`${name} (producer of half messages)`, [
    ['check-back', request === null ? `handler ${handler}` : addressText('POST', request)],
    ['deadline', `${describeDuration(timeoutMs)} a check-back`],
    ...(request === null ? [] : requestRows(request)),
    ['asked', `${asked}; then it is parked`],
  ]);
}

function apiText({ listen, tokens }: ApiExplanation): string {
  return printRows('HTTP API', [
    ['listens on', listen],
    ['tokens', tokens.length === 0 ? 'none: whoever reaches the port may write' : tokens.join(', ')],
  ]);
}

function orderText(onPark: DestinationConfig['onPark']): string {
  const parked = onPark === 'block' ? 'holds its key up' : 'lets its key pass';
  return `by key, one after another; a parked event ${parked}`;
}

function parkedText({ resolutions, runbook }: DestinationExplanation): Row[] {
  return [
    ...(resolutions === null ? [] : [['resolutions', resolutionsText(resolutions)] as const]),
    ...(runbook === null ? [] : [['runbook', runbook] as const]),
  ];
}

const spokenResolvers = {
  anyone: 'by anyone',
  cli: 'by command line, dashboard or SQL',
  nobody: 'by nobody',
} as const;

function resolutionsText({ redirectTo, twoPersons, ...rules }: ResolutionRules): string {
  const parts = Object.entries(rules).map(([action, from]) => {
    const to =
      action === 'redirect' && redirectTo !== null && from !== 'nobody'
        ? ` to ${redirectTo.join(' or ')}`
        : '';
    return unbroken(`${action}${to} ${spokenResolvers[from]}`);
  });
  return [...parts, ...(twoPersons === undefined ? [] : [twoPersonsText(twoPersons)])].join(', ');
}

function twoPersonsText({ for: actions, lettersAbove, withinMs }: TwoPersons): string {
  const what = [...actions, ...(lettersAbove === null ? [] : [`more than ${lettersAbove} letters`])];
  return unbroken(`two persons for ${what.join(', ')} within ${describeDuration(withinMs)}`);
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

function routesText({ routes }: DestinationExplanation): Row[] {
  if (routes.length === 0) return [['routes', 'none']];
  return routes.map(({ match, where }, index) => {
    const filter = where === null ? '' : ` where ${where.replace(/\s+/g, ' ')}`;
    return [index === 0 ? 'routes' : '', `${match}${filter}`];
  });
}
