/** A stage with redrives of it. */
import { expect } from 'vitest';
import { createRedrives, type Redrive, type Redrives, type RedriveRequest } from '../../src/redrive/index.ts';
import { eventually } from '../support/index.ts';
import { openStage, type Stage, type StageOptions } from '../resolve/stage.ts';

export interface Place extends Stage {
  readonly redrives: Redrives;
  /** Previews and starts. */
  go(request: RedriveRequest): Promise<Redrive>;
  /** Waits until it is over. */
  over(id: number): Promise<Redrive>;
}

export async function openPlace(options: StageOptions = {}): Promise<Place> {
  const stage = await openStage(options);
  const redrives = createRedrives({
    db: stage.database.pool,
    name: stage.database.name,
    temporal: { client: stage.client, address: 'the test server' },
  });
  return {
    ...stage,
    redrives,
    go: async (request) => {
      const { redrive } = await redrives.preview(request, { actor: 'ada' });
      return redrives.start(redrive.id, { actor: 'ada' });
    },
    over: async (id) =>
      eventually(async () => {
        const { redrive } = await redrives.status(id);
        expect(redrive.endedAt).not.toBeNull();
        return redrive;
      }),
  };
}
