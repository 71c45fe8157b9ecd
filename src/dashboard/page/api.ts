/** The server, as the page asks it. */
import { signal } from '@preact/signals';

export interface Problem {
  readonly status: number;
  readonly detail: string;
  readonly hint?: string;
}

/** Of an answer that is none of 2xx; status 0 where none came. */
export class Refused extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Nobody is signed in: the page asks for a token. */
export const signedOut = signal(false);

export interface Ask {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Sent as it stands: JSON, in which numbers have their digits. */
  readonly body?: string;
  readonly ifMatch?: string;
  readonly signal?: AbortSignal;
}

export async function ask<Answer>(
  path: string,
  { method = 'GET', body, ifMatch, signal }: Ask = {},
): Promise<Answer> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (ifMatch !== undefined) headers['if-match'] = ifMatch;
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (body !== undefined) init.body = body;
  init.signal = signal ?? AbortSignal.timeout(40_000);
  let response: Response;
  try {
    // Relative to the page: a proxy may have put it under any path.
    response = await fetch(`./v1${path}`, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Refused({ status: 0, detail: 'the server does not answer' });
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as Answer;
  if (response.status === 401 && path !== '/session') signedOut.value = true;
  throw new Refused(problemOf(response, text));
}

function problemOf({ status }: Response, text: string): Problem {
  try {
    const { detail, hint } = JSON.parse(text) as { detail?: string; hint?: string };
    if (typeof detail === 'string') return { status, detail, ...(hint === undefined ? {} : { hint }) };
  } catch {
    // A proxy's own page.
  }
  return { status, detail: `the server answered ${status}` };
}

export function spoken(error: unknown): string {
  if (error instanceof Refused) {
    const { detail, hint } = error.problem;
    return hint === undefined ? detail : `${detail}. ${hint}`;
  }
  return error instanceof Error ? error.message : String(error);
}
