/** What an endpoint of the dashboard's API is: one table from which routes, checks and the OpenAPI document are made. */
import * as z from 'zod';
import type { Log } from '../../activities/index.ts';
import type { DashboardConfig } from '../core/dashboard.ts';
import type { KeyProvider } from '../encryption/keys.ts';
import type { Pool } from '../storage/connect.ts';
import type { Operating } from './operating.ts';
import type { Overview } from './views/overview.ts';
import type { Need, Who } from './who.ts';
import { uuidPattern } from '../core/uuid.ts';

/** What all endpoints have in their hands. */
export interface Services {
  /** The dashboard's own: what it waits for must not be what delivery waits for. */
  readonly pool: Pool;
  readonly config: DashboardConfig;
  /** The configuration's `name`. */
  readonly name: string | null;
  /** Temporal, for commands; views need none. */
  readonly operating: Operating;
  /** Read once for everybody who looks. */
  readonly overview: () => Promise<Overview>;
  /** The page of a workflow in the Temporal UI; null where nobody said where that is. */
  readonly workflowUrl: (workflowId: string) => string | null;
  readonly log: Log;
  /** Of encrypted payloads, as this process has them. */
  readonly keys: KeyProvider;
}

export interface Call<Query, Body> extends Services {
  readonly who: Who;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** The body as it came: numbers in it keep their digits. */
  readonly text: string;
  /** What the caller says it has seen of what it changes; undefined: nothing. */
  readonly ifMatch: string | undefined;
}

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PATCH';
  /** `/letters/{letter}`; what each name in braces may be is in {@link paramPatterns}. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly need: Need;
  /** Its answer has `audit`, lines of who did what. */
  readonly audited?: boolean;
  readonly query: z.ZodType;
  /** Undefined: it takes none. */
  readonly body: z.ZodType | undefined;
  readonly handle: (call: Call<never, never>) => Promise<unknown>;
}

interface Definition<Query extends z.ZodType, Body extends z.ZodType> extends Omit<
  Endpoint,
  'query' | 'body' | 'handle'
> {
  readonly query?: Query;
  readonly body?: Body;
  readonly handle: (call: Call<z.infer<Query>, z.infer<Body>>) => Promise<unknown>;
}

export function endpoint<Query extends z.ZodType, Body extends z.ZodType>(
  definition: Definition<Query, Body>,
): Endpoint {
  const { query = nothing, body, handle, ...rest } = definition;
  return { ...rest, query, body, handle };
}

export const nothing = z.strictObject({});

/** What stands in a path, by its name. */
export const paramPatterns: Readonly<
  Record<string, { readonly pattern: RegExp; readonly expected: string }>
> = {
  letter: { pattern: /^[1-9]\d{0,14}$/, expected: 'the number of a dead letter' },
  token: { pattern: /^[1-9]\d{0,14}$/, expected: 'the number of a token' },
  redrive: { pattern: /^[1-9]\d{0,14}$/, expected: 'the number of a redrive' },
  cause: { pattern: /^[0-9a-f]{12}$/, expected: 'the id of a cause: 12 digits, 0-9 and a-f' },
  event: { pattern: uuidPattern, expected: 'an event id (a UUID)' },
  message: { pattern: uuidPattern, expected: 'the id of a half message' },
  destination: { pattern: /^[a-z][a-z0-9-]{0,62}$/, expected: 'the name of a destination' },
};
