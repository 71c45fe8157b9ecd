import { test } from 'vitest';

test('passes', () => undefined);
test('is skipped', ({ skip }) => skip('the moon is down'));
