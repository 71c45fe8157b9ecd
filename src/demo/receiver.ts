import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request as the billing service saw it. */
export interface Receipt {
  /** `webhook-id`: the event's id. */
  readonly messageId: string;
  readonly idempotencyKey: string;
  readonly body: string;
  readonly signatureHolds: boolean;
  /** What it answered. */
  readonly status: number;
}

/** The downstream service of the story: a real HTTP server that decides by the order's number. */
export interface Receiver {
  readonly url: string;
  readonly receipts: readonly Receipt[];
  /** From now on it takes the order it refused. */
  repair(): void;
  close(): Promise<void>;
}

export interface ReceiverOptions {
  /** `whsec_…` */
  readonly secret: string;
  /** Answered 500 twice, then taken. */
  readonly wobblyOrder: number;
  /** Answered 422 until repaired. */
  readonly refusedOrder: number;
  readonly onReceipt?: (receipt: Receipt) => void;
}

export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const receipts: Receipt[] = [];
  const state = { repaired: false, wobbles: 2 };
  const server = createServer((request, response) => {
    void answer(request, response, (body) => decide(body, options, state), options.secret).then((receipt) => {
      receipts.push(receipt);
      options.onReceipt?.(receipt);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/orders`,
    receipts,
    repair: () => (state.repaired = true),
    close: () => close(server),
  };
}

function decide(
  body: string,
  options: ReceiverOptions,
  state: { repaired: boolean; wobbles: number },
): number {
  const order = orderOf(body);
  if (order === options.refusedOrder && !state.repaired) return 422;
  if (order === options.wobblyOrder && state.wobbles > 0) {
    state.wobbles -= 1;
    return 500;
  }
  return 204;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  judge: (body: string) => number,
  secret: string,
): Promise<Receipt> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('utf8');
  const signatureHolds = verify(request, body, secret);
  const status = signatureHolds ? judge(body) : 401;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(status === 422 ? '{"error":"the customer is unknown to billing"}' : undefined);
  const header = (name: string): string => request.headers[name]?.toString() ?? '';
  return {
    messageId: header('webhook-id'),
    idempotencyKey: header('idempotency-key'),
    body,
    signatureHolds,
    status,
  };
}

/** Standard Webhooks, by hand: HMAC-SHA256 over id, timestamp and body. Your services have libraries for it. */
function verify(request: IncomingMessage, body: string, secret: string): boolean {
  const header = (name: string): string => request.headers[name]?.toString() ?? '';
  const signed = `${header('webhook-id')}.${header('webhook-timestamp')}.${body}`;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = Buffer.from(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
  return header('webhook-signature')
    .split(' ')
    .some((given) => {
      const bytes = Buffer.from(given);
      return bytes.length === expected.length && timingSafeEqual(bytes, expected);
    });
}

export function orderOf(body: string): number | null {
  try {
    const { order } = JSON.parse(body) as { order?: unknown };
    return typeof order === 'number' ? order : null;
  } catch {
    return null;
  }
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
