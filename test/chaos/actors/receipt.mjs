/** A request, as the history tells it. */
export function receiptOf(destination, headers) {
  const id = headers['webhook-id'] ?? '';
  return {
    what: 'request',
    destination,
    event: id.replace(/:r\d+$/, ''),
    id,
    key: (headers['idempotency-key'] ?? '').replaceAll('"', ''),
    attempt: Number(headers['outbox-attempt']),
  };
}
