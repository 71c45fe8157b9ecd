import type { DestinationType } from '../type.ts';
import type { HttpSettings } from './config.ts';
import { explainHttp } from './explain.ts';
import { inspectHttp } from './inspect.ts';
import { httpCircuitKeys, httpKeys, httpRetryKeys, type HttpInput } from './keys.ts';
import { normaliseHttp } from './normalise.ts';
import { checkHttp } from './rules.ts';
import { createHttpSender } from './sender.ts';
import { prepareTarget } from './target.ts';

/** `type: http`: a request for each delivery, acknowledged by 2xx. */
export const http: DestinationType<HttpSettings> = {
  name: 'http',
  keys: httpKeys,
  retryKeys: httpRetryKeys,
  circuitKeys: httpCircuitKeys,
  check: checkHttp,
  normalise: (input) => normaliseHttp(input as HttpInput),
  explain: (config, about) => explainHttp(config, about),
  problemOf: (config, about) => {
    const prepared = prepareTarget(config, about);
    return 'problem' in prepared ? prepared.problem : null;
  },
  open: (config, services) => createHttpSender(config, services),
  inspect: inspectHttp,
};
