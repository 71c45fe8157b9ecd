import { afterAll } from 'vitest';
import { endWhatTheFileOpened } from './cleanup.ts';

/** Runs before each test file, so that this comes before the file's own hooks and is run after them. */
afterAll(endWhatTheFileOpened, 120_000);
