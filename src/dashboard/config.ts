import { dashboardDefaults, type DashboardConfig } from '../core/dashboard.ts';
import { parseListen, type ListenAddress } from '../core/listen.ts';

/** Connections of the dashboard's own pool: in `run`, beside those of relay and worker; in `dashboard`, all there are. */
export const dashboardConnections = { besideDelivery: 4, alone: 10 };

/** A request waits so long for a connection. */
export const dashboardPatienceMs = { connect: 3_000, answer: 10_000 };

/**
 * The dashboard as it is served: at `listen`, which stands in place of the configuration's address; null for nowhere, and null when
 * nobody asked for one.
 */
export function dashboardAt(
  configured: DashboardConfig | null,
  listen: ListenAddress | null | undefined,
): DashboardConfig | null {
  if (listen === null || (listen === undefined && configured === null)) return null;
  const unsaid = { url: null, title: null, production: false, temporalUi: null, signIn: null };
  const otherwise = parseListen(dashboardDefaults.listen) as ListenAddress;
  return { ...(configured ?? { ...unsaid, listen: otherwise }), ...(listen === undefined ? {} : { listen }) };
}
