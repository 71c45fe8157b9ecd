import { defineConfig } from 'vitest/config';

/** The runner's own tests: files that no other run includes. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.fixture.ts'],
    reporters: [['default', { summary: false }]],
  },
});
