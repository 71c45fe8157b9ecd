/** Whether the receiver is there: by `circuit.probeUrl` where there is one, else by a connection, without a request that it would act on. */
import { X509Certificate } from 'node:crypto';
import type { SendOutcome } from '../../core/outcome.ts';
import { showUrl } from '../../core/shownUrl.ts';
import { readPem } from '../shared/pem.ts';
import type { Inspection, Services } from '../type.ts';
import { checkTarget } from './check.ts';
import type { HttpDestinationConfig } from './config.ts';
import { guardedConnector } from './connector.ts';
import { failedOutcome } from './outcomes.ts';
import { unusedProxy, unusedProxyText } from './proxy/environment.ts';
import { prepareTarget, type HttpTarget } from './target.ts';

export async function inspectHttp(
  config: HttpDestinationConfig,
  services: Services,
): Promise<readonly Inspection[]> {
  const prepared = prepareTarget(config, services);
  if ('problem' in prepared) return [failed(prepared.problem, 'Nothing was asked.')];
  const { target } = prepared;
  const about = certificateOf(config, services);
  const unused = config.proxy === undefined ? unusedProxy(target.origin, services.env) : null;
  if (unused !== null)
    about.push({ level: 'warn', found: 'goes straight, through no proxy', hint: unusedProxyText(unused) });
  const { tokens, probeUrl } = target;
  const { signal } = new AbortController();
  const token = await tokens?.ready(signal);
  if (token != null)
    return [...about, failed(token.message, 'Are auth.oauth2.tokenUrl, clientId and clientSecret right?')];
  if (tokens !== null) about.push(found('the token endpoint gives a token'));
  return [...about, probeUrl === null ? await connects(target) : await answers(target, probeUrl, signal)];
}

async function answers(target: HttpTarget, probeUrl: URL, signal: AbortSignal): Promise<Inspection> {
  const outcome = await checkTarget(target, probeUrl, signal);
  const shown = showUrl(probeUrl, target.config.circuit.probeUrl ?? '').withoutQuery;
  if (outcome.kind === 'acknowledged') return found(`GET ${shown} answers ${outcome.status}`);
  return notThere(outcome, 'Is circuit.probeUrl right, and is the receiver well?');
}

async function connects(target: HttpTarget): Promise<Inspection> {
  const { protocol, hostname, port, host } = new URL(target.origin);
  const connect = guardedConnector(target.connect);
  const error = await new Promise<Error | null>((resolve) => {
    // A literal IPv6 address has lost its brackets where undici asks.
    connect({ protocol, hostname: hostname.replace(/^\[|\]$/g, ''), port }, (problem, socket) => {
      socket?.destroy();
      resolve(problem);
    });
  });
  if (error === null) return found(`${host} takes connections; what it answers is seen with the first event`);
  return notThere(failedOutcome(target, error, 0), 'Is the address right, and is the receiver up?');
}

const dayMs = 24 * 3_600_000;
const warnedMs = 14 * dayMs;

/** How long our certificate is still good; nothing where there is none. */
function certificateOf({ tls }: HttpDestinationConfig, services: Services): Inspection[] {
  if (tls?.cert == null) return [];
  const certificate = new X509Certificate(readPem(tls.cert, services));
  const endsAtMs = Date.parse(certificate.validTo);
  const until = `our certificate is good until ${new Date(endsAtMs).toISOString().slice(0, 10)}`;
  const leftMs = endsAtMs - services.now();
  if (leftMs > warnedMs) return [found(until)];
  const hint = 'Renew it; a file is read again by itself, a variable by starting anew.';
  return [{ level: leftMs > 0 ? 'warn' : 'fail', found: until, hint }];
}

function found(text: string): Inspection {
  return { level: 'ok', found: text, hint: null };
}

/** A receiver that is down comes back by itself, and its events wait: only what never reaches it is a fault. */
function notThere(outcome: SendOutcome, hint: string): Inspection {
  const said = 'message' in outcome ? outcome.message : 'no answer';
  return { level: outcome.kind === 'refused' ? 'fail' : 'warn', found: said, hint };
}

function failed(text: string, hint: string): Inspection {
  return { level: 'fail', found: text, hint };
}
