/** A contestant's side of the conversation with the stage. */
export async function play({ prepare, fill, insert, produce, count, begin, left, stop }) {
  const settings = await new Promise((resolve) => process.once('message', resolve));
  await prepare(settings);
  process.on('message', async ({ order }) => {
    if (order.fill !== undefined) {
      await fill(order.fill);
      process.send({ kind: 'filled' });
    } else if (order.insert !== undefined) {
      await insert(order.insert);
      process.send({ kind: 'inserted' });
    } else if (order.produce !== undefined) {
      process.send({ kind: 'produced', ...(await produce(order.produce)) });
    } else if (order === 'count') {
      process.send({ kind: 'counted', ...(await count()) });
    } else if (order === 'begin') {
      await begin();
      process.send({ kind: 'begun' });
    } else if (order === 'left') {
      process.send({ kind: 'left', left: await left(), rssMb: process.memoryUsage().rss / 1e6 });
    } else if (order === 'stop') {
      await stop();
      process.exit(0);
    }
  });
  process.send({ kind: 'prepared' });
}

/** About so many bytes of JSON, as an order event has. */
const bytes = Number(process.env.BENCH_PAYLOAD_BYTES ?? 250);
export const payloadSql = `jsonb_build_object('orderId', i, 'customer', 'c-' || i % 997, 'total', i * 1.25, 'note', repeat('x', ${bytes - 70}))`;
