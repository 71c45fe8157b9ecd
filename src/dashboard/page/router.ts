/** Every view is an address: `#/letters?destination=billing`. What is before the # is the server's, whatever path a proxy puts there. */
import { signal } from '@preact/signals';

export interface Route {
  /** `['letters', '12']` */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

function read(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { path: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
addEventListener('hashchange', () => {
  const from = route.peek().path.join('/');
  route.value = read();
  if (route.peek().path.join('/') === from) return;
  // As a browser does with a new page.
  scrollTo(0, 0);
  queueMicrotask(() =>
    requestAnimationFrame(() => document.getElementById('main')?.focus({ preventScroll: true })),
  );
});

export type Query = Readonly<Record<string, string | null | undefined>>;

/** `#/letters/12`, without what is empty. */
export function to(path: string, query: Query = {}): string {
  return `#${path}${asQuery(query)}`;
}

export function asQuery(query: Query): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

export function go(path: string, query: Query = {}): void {
  location.hash = to(path, query).slice(1);
}
