import type { Endpoint } from './endpoint.ts';
import { causeEndpoints } from './views/causes.ts';
import { destinationEndpoints } from './views/destinations.ts';
import { eventEndpoints } from './views/events.ts';
import { eventSearchEndpoints } from './views/eventSearch.ts';
import { letterActionEndpoints } from './views/letterActions.ts';
import { letterEndpoints } from './views/letters.ts';
import { meEndpoints, tokenEndpoints } from './views/me.ts';
import { messageEndpoints } from './views/messages.ts';
import { overviewEndpoints } from './views/overview.ts';
import { redriveActionEndpoints } from './views/redriveActions.ts';
import { redriveEndpoints } from './views/redrives.ts';

/** All there are but signing in and out, which nobody is asked for. */
export const endpoints: readonly Endpoint[] = [
  ...meEndpoints,
  ...overviewEndpoints,
  ...causeEndpoints,
  ...letterEndpoints,
  ...letterActionEndpoints,
  ...redriveEndpoints,
  ...redriveActionEndpoints,
  ...destinationEndpoints,
  ...eventEndpoints,
  ...eventSearchEndpoints,
  ...messageEndpoints,
  ...tokenEndpoints,
];
