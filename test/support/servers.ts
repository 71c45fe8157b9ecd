/** What test/support/globalSetup.ts hands to every test: one PostgreSQL and one Temporal for the whole run. */
import { inject } from 'vitest';

export interface TestServers {
  /** A superuser's connection string, to the maintenance database. */
  readonly databaseUrl: string;
  /** A migrated database that nobody is connected to; fresh ones are copies of it. */
  readonly template: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  /** null when the tests run against a server of somebody else's whose UI is not known (TEMPORAL_UI_URL). */
  readonly temporalUi: string | null;
}

declare module 'vitest' {
  export interface ProvidedContext {
    readonly servers: TestServers;
  }
}

export function servers(): TestServers {
  return inject('servers');
}

/** The same server, another database. */
export function urlOfDatabase(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
