/** Of an address there is shown where it leads, and nothing that opens it. */
import { describe, expect, it } from 'vitest';
import { redactorFor } from '../../src/core/redact.ts';
import { showUrl, showWritten } from '../../src/core/shownUrl.ts';

const shown = (url: string, written = url) => showUrl(new URL(url), written);

describe('an address', () => {
  it.each([
    ['https://billing.example/hooks/orders', 'https://billing.example/hooks/orders'],
    ['http://10.0.0.1:8080/', 'http://10.0.0.1:8080/'],
    ['https://api.example/v2/order-events', 'https://api.example/v2/order-events'],
    [
      'https://hooks.chat.example/services/T024BE7LD4711000/B0LPQ4711Q0000000/XXXXzzzz1111YYYYwwww2222',
      'https://hooks.chat.example/services/***/***/***',
    ],
    [
      'https://chat.example/api/webhooks/123456789012345678/abcDEF-ghiJKL_mnoPQR',
      'https://chat.example/api/webhooks/***/***',
    ],
    ['https://bot.example/bot123456:AAabbCCddEEffGG/send', 'https://bot.example/***/send'],
    ['https://a.example/hook?token=sesame-open&v=1', 'https://a.example/hook?token=***&v=***'],
  ])('%s is shown as %s', (url, expected) => expect(shown(url).text).toBe(expected));

  it('hides of what the environment filled in all but plain words', () => {
    expect(shown('https://hooks.example/services/T0/B1/x9k', '${HOOK}').text).toBe(
      'https://hooks.example/services/***/***/***',
    );
    expect(shown('https://hooks.example/orders/sesame9', 'https://hooks.example/orders/${TOKEN}').text).toBe(
      'https://hooks.example/orders/***',
    );
    expect(shown('http://billing/hooks', '${BILLING_URL}').text).toBe('http://billing/hooks');
  });

  it('knows what it hid, encoded and not, for texts that repeat it', () => {
    expect(shown('https://a.example/x/s3same%20open?t=q%26uite9long', '${U}').secrets).toEqual(
      expect.arrayContaining(['s3same%20open', 's3same open', 'q&uite9long', 'q%26uite9long']),
    );
  });

  it('as written in the file hides what looks made, and keeps names of variables', () => {
    expect(
      showWritten('https://h.example/services/T024BE7LD4711000/${REST_OF_THE_PATH_1}?a=${A}&b=literal'),
    ).toBe('https://h.example/services/***/${REST_OF_THE_PATH_1}?a=${A}&b=***');
  });

  it('of the environment leaves its hidden parts to no log', () => {
    const redact = redactorFor({ HOOK: 'https://hooks.example/services/T0/s3same-open-9' });
    expect(redact('cannot POST /services/T0/s3same-open-9')).toBe('cannot POST /services/T0/***');
  });
});
