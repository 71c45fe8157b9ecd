/** A peer's job delivered: posted under its id as the idempotency key; throws for its own retries what is not acknowledged. */
export async function post(http, id, payload) {
  const { statusCode, body } = await http.request({
    path: '/',
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': `"receiver/${id}"` },
    body: JSON.stringify(payload),
  });
  await body.dump();
  if (statusCode >= 300) throw new Error(`HTTP ${statusCode}`);
}
