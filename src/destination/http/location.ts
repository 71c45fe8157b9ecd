/** Where a redirect points, for people: it is never followed. */
import type { Endpoint } from './target.ts';

const placeCharacters = 200;

/**
 * `, which points to https://host/path`, or what is the matter with the header. No credentials, query or fragment: these are where secrets are.
 * What is not printable is percent-encoded by the URL itself.
 */
export function placeOf(
  { origin, path }: Pick<Endpoint, 'origin' | 'path'>,
  location: string | null,
): string {
  if (location === null || location.trim() === '') return ', without saying where to (no Location)';
  const written = location.trim();
  if (!URL.canParse(written, `${origin}${path}`)) return ', and its Location is not a URL';
  const url = new URL(written, `${origin}${path}`);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    return `, and its Location is not a web address but ${url.protocol.slice(0, 20)}`;
  const place = `${url.origin}${url.pathname}`;
  const shown = place.length > placeCharacters ? `${place.slice(0, placeCharacters)}…` : place;
  return `, which points to ${shown}${url.search === '' ? '' : '?…'}`;
}
