/** Calls made at the same time share a statement, and so a round trip, a plan and a wait for the disk. */

export interface Together<Item, Answer> {
  /** Of two items or more: all or none; answers in the order of the items. It must not wait long for what one of them waits for. */
  readonly many: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** One item by itself, for as long as it takes. Must bear repeating, and come after a failed `many`. */
  readonly one: (item: Item) => Promise<Answer>;
  /** What it adds to a statement, characters. Default 0. */
  readonly sizeOf?: (item: Item) => number;
}

const itemsMax = 100;
const charactersMax = 1_000_000;
/** Four made the statements smaller, for a third more CPU a message; one leaves the server idle between two. */
const underWayMax = 2;
/** A statement that takes longer is stuck: others no longer wait for it, and its items are not sent again. */
const stuckMs = 1_000;

interface Call<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Calls go at once while fewer than two statements are under way, else with the next one. What a statement for several refuses is sent
 * again one by one, so that each caller gets the answer it would have got alone.
 */
export function together<Item, Answer>(how: Together<Item, Answer>): (item: Item) => Promise<Answer> {
  const waiting: Call<Item, Answer>[] = [];
  let underWay = 0;
  const sendNext = (): void => {
    while (underWay < underWayMax && waiting.length > 0) {
      underWay++;
      const free = once(() => {
        underWay--;
        sendNext();
      });
      const stuck = setTimeout(free, stuckMs);
      void send(how, takeSome(waiting, how)).finally(() => {
        clearTimeout(stuck);
        free();
      });
    }
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      // Callers of this very moment first.
      if (waiting.length === 1) queueMicrotask(sendNext);
    });
}

function takeSome<Item, Answer>(
  waiting: Call<Item, Answer>[],
  { sizeOf = () => 0 }: Together<Item, Answer>,
): Call<Item, Answer>[] {
  let count = 0;
  for (let size = 0; count < Math.min(waiting.length, itemsMax); count++) {
    size += sizeOf((waiting[count] as Call<Item, Answer>).item);
    if (count > 0 && size > charactersMax) break;
  }
  return waiting.splice(0, count);
}

/** Settles every call; does not wait for those sent again. */
async function send<Item, Answer>(how: Together<Item, Answer>, calls: Call<Item, Answer>[]): Promise<void> {
  const [first, ...others] = calls;
  if (first !== undefined && others.length === 0) return sendAlone(how, first);
  const sentAt = performance.now();
  try {
    const answers = await how.many(calls.map(({ item }) => item));
    calls.forEach(({ resolve }, index) => resolve(answers[index] as Answer));
  } catch (error) {
    const isStuck = performance.now() - sentAt >= stuckMs;
    for (const call of calls) {
      if (isStuck) call.reject(error);
      else void sendAlone(how, call, error);
    }
  }
}

/** `refusal`: of the statement it was in before, which ended the transaction where the caller has one of its own. */
async function sendAlone<Item, Answer>(
  { one }: Together<Item, Answer>,
  { item, resolve, reject }: Call<Item, Answer>,
  refusal?: unknown,
): Promise<void> {
  await one(item).then(resolve, (error: unknown) => {
    const isTransactionOver = (error as { code?: unknown }).code === '25P02';
    reject(isTransactionOver && refusal !== undefined ? refusal : error);
  });
}

function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}
