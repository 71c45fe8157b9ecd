import type { DestinationConfig, RouteConfig } from '../core/destination.ts';
import type { OutgoingMessage } from '../core/outcome.ts';

/** An event that a route takes to the destination, to show what becomes of it. Values of jsonpaths are known to PostgreSQL only. */
export function sampleFor(
  { name, ordering, paths = [] }: DestinationConfig,
  routes: readonly RouteConfig[],
): OutgoingMessage {
  const match = routes.find(({ to }) => to.includes(name))?.match ?? '*';
  return {
    eventId: '01990000-0000-7000-8000-000000000001',
    destination: name,
    revision: 1,
    type: match === '*' ? 'order.created' : match.replaceAll('*', 'created'),
    key: 'customer-42',
    sequence: ordering === 'key' ? '1' : null,
    source: '/shop',
    subject: null,
    contentType: 'application/json',
    payload: '{"id": 42}',
    headers: {},
    extracted: Object.fromEntries(paths.map((path) => [path, `‹${path}›`])),
    createdAt: '2026-01-01T00:00:00.000Z',
    attempt: 1,
  };
}
