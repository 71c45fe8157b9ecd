/** Workflows of a user's own, which a destination of type temporal starts and speaks to. */
import { condition, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';

interface Event {
  readonly id: string;
  readonly data: { readonly n: number };
}

export async function fulfilOrder(event: Event): Promise<Event> {
  return event;
}

const paid = defineSignal<[Event]>('paid');
const add = defineUpdate<number, [Event]>('add');

/** Ends when it has so many numbers, from signals and updates; updates below zero are rejected. */
export async function counting(): Promise<number[]> {
  const numbers: number[] = [];
  setHandler(paid, ({ data }) => void numbers.push(data.n));
  setHandler(add, ({ data }) => numbers.push(data.n), {
    validator: ({ data }: Event) => {
      if (data.n < 0) throw new Error('expected a number of zero or more');
    },
  });
  await condition(() => numbers.length === 2);
  return numbers;
}
