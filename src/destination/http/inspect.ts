/** Whether the receiver is there: by `circuit.probeUrl` where there is one, else by a connection, without a request that it would act on. */
import type { SendOutcome } from '../../core/outcome.ts';
import { showUrl } from '../../core/shownUrl.ts';
import type { Inspection, Services } from '../type.ts';
import { checkTarget } from './check.ts';
import type { HttpDestinationConfig } from './config.ts';
import { guardedConnector } from './connector.ts';
import { failedOutcome } from './outcomes.ts';
import { prepareTarget, type HttpTarget } from './target.ts';

export async function inspectHttp(
  config: HttpDestinationConfig,
  services: Services,
): Promise<readonly Inspection[]> {
  const prepared = prepareTarget(config, services);
  if ('problem' in prepared) return [failed(prepared.problem, 'Nothing was asked.')];
  const { target } = prepared;
  return [target.probeUrl === null ? await connects(target) : await answers(target, target.probeUrl)];
}

async function answers(target: HttpTarget, probeUrl: URL): Promise<Inspection> {
  const outcome = await checkTarget(target, probeUrl, new AbortController().signal);
  const shown = showUrl(probeUrl, target.config.circuit.probeUrl ?? '').withoutQuery;
  if (outcome.kind === 'acknowledged') return found(`GET ${shown} answers ${outcome.status}`);
  return notThere(outcome, 'Is circuit.probeUrl right, and is the receiver well?');
}

async function connects(target: HttpTarget): Promise<Inspection> {
  const { protocol, hostname, port, host } = new URL(target.origin);
  const { timeoutMs, network } = target.config;
  const connect = guardedConnector({ allowPrivate: network.allowPrivate, timeoutMs });
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
