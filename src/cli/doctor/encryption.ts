/** Keys of encrypted payloads: those that rows use, and that are not here. */
import { ConfiguredKeys } from '../../encryption/configured.ts';
import { readEncryption, readKeysInUse } from '../../storage/encryption.ts';
import type { Queryable } from '../../storage/connect.ts';
import { printable } from '../../core/printable.ts';
import { fail, firstThree, ok, warn, type Finding } from './finding.ts';

export async function checkEncryption(db: Queryable): Promise<Finding> {
  const check = 'encryption';
  const [config, used] = await Promise.all([readEncryption(db), readKeysInUse(db)]);
  if (config === null && used.length === 0) return ok(check, 'no payload is encrypted');
  const keys = new ConfiguredKeys(db, process.env);
  const missing: string[] = [];
  for (const { kid, events } of used)
    if ((await keys.key(kid)) === undefined) {
      const named = Object.hasOwn(config?.keys ?? {}, kid) ? 'its value is not here' : 'not configured';
      missing.push(
        `${printable(kid)}, which ${events} ${events === 1 ? 'payload uses' : 'payloads use'}: ${named}`,
      );
    }
  if (missing.length > 0)
    return fail(
      check,
      firstThree(missing),
      'Name it under encryption.keys, and give its value to every process that sends (run, worker). Its events wait meanwhile, uncharged.',
    );
  const inUse =
    used.length === 0 ? 'no key is in use' : `in use: ${used.map(({ kid }) => printable(kid)).join(', ')}`;
  if (config !== null && (await keys.key(config.current)) === undefined)
    return warn(
      check,
      `${inUse}; the current key ${config.current} is not here`,
      'Edits of encrypted events from here are refused.',
    );
  return ok(check, inUse);
}
