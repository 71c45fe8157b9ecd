import type { HarnessServer } from './harness.ts';
import type { Play } from './stage.ts';

export interface Row {
  /** What the harness's server has to offer for it. */
  readonly needs?: readonly (keyof HarnessServer)[];
  /** Whether connections have to go through the wire. */
  readonly wire?: boolean;
  /** Milliseconds it may take. Default 120,000. */
  readonly timeoutMs?: number;
  play(play: Play): Promise<void>;
}
