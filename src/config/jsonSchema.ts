/** JSON Schema of outbox.yaml, for editors and `config schema`. */
import * as z from 'zod';
import { builtInTypes, type DestinationTypes } from '../destination/registry.ts';
import { fileSchema } from './schema.ts';

/**
 * Draft 7, which the YAML language server understands best. It covers shapes, ranges and spellings; what holds
 * between keys, addresses, header names and the environment is checked only when the file is loaded.
 */
export function configJsonSchema(types: DestinationTypes = builtInTypes): Record<string, unknown> {
  const generated = z.toJSONSchema(fileSchema(types), { target: 'draft-7', io: 'input' });
  return { ...generated, title: 'outbox.yaml', description: 'Destinations and routes of temporal-outbox.' };
}
