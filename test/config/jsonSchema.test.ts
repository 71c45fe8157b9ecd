import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { configJsonSchema } from '../../src/config/jsonSchema.ts';
import { contractExample, withLines } from './fixtures.ts';

const accepts = new Ajv({ strict: true }).compile(configJsonSchema());

describe('the JSON Schema of outbox.yaml', () => {
  it('takes the example of the contract', () => {
    expect(accepts(parse(contractExample))).toBe(true);
    expect(accepts.errors).toBeNull();
  });

  it.each([
    ['an unknown key', withLines('tiemout: 5s')],
    ['a duration without unit', withLines('timeout: 5')],
    ['too many attempts', withLines('retry: { maximumAttempts: 1000000000 }')],
    ['a bad destination name', 'destinations: { "a b": { type: http, url: "http://a.test/" } }'],
    ['no destinations', 'routes: []'],
    ['an unknown type', withLines().replace('type: http', 'type: smtp')],
  ])('refuses %s', (_, text) => {
    expect(accepts(parse(text))).toBe(false);
  });

  it('describes keys for editors', () => {
    expect(JSON.stringify(configJsonSchema())).toContain(
      'Refused attempts, the first one included. Default 12',
    );
  });
});
