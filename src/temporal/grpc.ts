/** What Temporal's client wraps: the status and the words of the server's own refusal. */
interface Refusal {
  readonly code?: unknown;
  readonly details?: unknown;
  readonly message?: unknown;
  readonly name?: unknown;
  readonly cause?: unknown;
}

export const grpcStatus = {
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
};

/** The number of the gRPC status, wherever in the chain of causes it stands; undefined for an error of another kind. */
export function grpcCodeOf(error: unknown): number | undefined {
  for (const { code } of causesOf(error)) if (typeof code === 'number') return code;
  return undefined;
}

/** The server answered, and does not let us look: no right, a limit, or a server that does not offer it. */
export function isWithheld(error: unknown): boolean {
  const { permissionDenied, resourceExhausted, unimplemented } = grpcStatus;
  return [permissionDenied, resourceExhausted, unimplemented].includes(grpcCodeOf(error) ?? -1);
}

/** The server cannot be reached, is starting or stopping: whatever was asked may be asked again later. */
export function isAway(error: unknown): boolean {
  const { cancelled, deadlineExceeded, unavailable } = grpcStatus;
  return causesOf(error).some(
    ({ code, details, name }) =>
      name === 'TransportError' ||
      (typeof details === 'string' && [cancelled, deadlineExceeded, unavailable].includes(Number(code))),
  );
}

/** A workflow task of it failed and was not tried again yet, as around a pause by a person: no update is taken meanwhile. */
export function isNotReady(error: unknown): boolean {
  return says(error, /workflow task in failed state/i);
}

/** The innermost words that say anything: the client's own "Failed to start Workflow" says nothing. */
export function innermostWords(error: unknown): string {
  const words = causesOf(error).map(({ details, message }) =>
    typeof details === 'string' && details !== '' ? details : message,
  );
  const last = words.findLast((each) => typeof each === 'string' && each !== '');
  return (typeof last === 'string' ? last : String(error)).split('\n')[0] ?? '';
}

/** The server refuses a search attribute: removed since we looked, or of another type now. */
export function refusesSearchAttribute(error: unknown): boolean {
  return says(error, /search ?attribute/i);
}

function says(error: unknown, words: RegExp): boolean {
  return causesOf(error).some(({ details, message }) =>
    words.test(`${typeof details === 'string' ? details : ''} ${String(message)}`),
  );
}

function causesOf(error: unknown): Refusal[] {
  const causes: Refusal[] = [];
  for (let each = error as Refusal | undefined; each instanceof Object && causes.length < 8;)
    each = causes[causes.push(each) - 1]?.cause as Refusal | undefined;
  return causes;
}
