/** temporal-outbox/nestjs: a publisher to inject. By the shape of NestJS's modules: nothing of NestJS is loaded. */
import type { SqlClient } from '../produce/client.ts';
import { enqueue, type EnqueuedEvent, type EnqueueOptions } from '../produce/enqueue.ts';
import type { NewEvent } from '../produce/event.ts';
import { invalidClient } from '../produce/client.ts';

/** Writes events in the transaction that is going on. */
export class OutboxPublisher {
  readonly #current: () => SqlClient;

  constructor(current: () => SqlClient) {
    this.#current = current;
  }

  /** As `enqueue`, through what the module's `client` answers at this moment. */
  publish(event: NewEvent, options?: EnqueueOptions): Promise<EnqueuedEvent>;
  publish(events: readonly NewEvent[], options?: EnqueueOptions): Promise<EnqueuedEvent[]>;
  async publish(
    input: NewEvent | readonly NewEvent[],
    options?: EnqueueOptions,
  ): Promise<EnqueuedEvent | EnqueuedEvent[]> {
    return enqueue(this.#current(), input as NewEvent, options);
  }

  /** A publisher through a client that you have in hand: `publisher.through(fromTypeOrm(manager)).publish(event)`. */
  through(client: SqlClient): OutboxPublisher {
    return new OutboxPublisher(() => client);
  }
}

export interface OutboxModuleOptions {
  /** Modules whose providers are injected. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever NestJS takes for a module
  readonly imports?: any[];
  /** Tokens of providers that `client` is called with. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever NestJS takes for a token
  readonly inject?: any[];
  /**
   * The client of the transaction that is going on, asked at each `publish`: with `@nestjs-cls/transactional` and Prisma
   * `(host) => fromPrisma(host.tx)`. Left out: `publisher.through(client)` is the only way.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the types of the providers
  readonly client?: (...injected: any[]) => SqlClient;
  /** Default true: the publisher can be injected everywhere. */
  readonly global?: boolean;
}

/**
 * @example
 * @Module({ imports: [OutboxModule.forRoot({ inject: [TransactionHost], client: (host) => fromPrisma(host.tx) })] })
 * export class AppModule {}
 */
export class OutboxModule {
  static forRoot({ imports = [], inject = [], client = noClient, global = true }: OutboxModuleOptions = {}) {
    const provider = {
      provide: OutboxPublisher,
      useFactory: (...injected: unknown[]) => new OutboxPublisher(() => client(...injected)),
      inject,
    };
    return { module: OutboxModule, global, imports, providers: [provider], exports: [OutboxPublisher] };
  }
}

function noClient(): SqlClient {
  throw invalidClient(
    'the module has no client',
    'Give OutboxModule.forRoot a client, or call publisher.through(client).',
  );
}
