import { expect, it } from 'vitest';
import { problemsOf } from './refusals.ts';

it.each(['kafka', 'http', 'nothing'])(
  'a bad name is said, whatever else is wrong with its destination (%s)',
  (type) => {
    const { problems } = problemsOf(
      `destinations:\n  Audit: { type: ${type} }\n  b: { type: ${type} }\nroutes: []\n`,
    );
    expect(problems.find(({ key }) => key === 'destinations.Audit')?.message).toContain('a-z');
    expect(problems.some(({ key }) => key.startsWith('destinations.b'))).toBe(true);
  },
);
