/** What a consumer's message holds. */
export const body = JSON.stringify({ orderId: 17, customer: 'c-17', total: 21.25, note: 'x'.repeat(180) });
