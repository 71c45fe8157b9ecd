import { readEventTypes } from '../../storage/configuration.ts';
import { nearestWord } from '../../core/nearest.ts';
import { OutboxError } from '../../errors.ts';
import { withDatabase } from '../database.ts';
import type { Output } from '../output.ts';
import { cut, printable, table } from '../table.ts';

const descriptionCharacters = 80;

/** `events schema`: the event types of the configuration that is applied; of one its JSON Schema. */
export async function schema(out: Output, type: string | undefined): Promise<void> {
  const types = await withDatabase(readEventTypes);
  if (type === undefined) {
    const items = Object.entries(types).map(([name, each]) => ({ type: name, ...each }));
    return out.result({ items }, (colours) => {
      if (items.length === 0) return 'outbox.yaml names no event types (events:)\n';
      const columns = [
        { title: 'TYPE', value: (each: (typeof items)[number]) => printable(each.type) },
        {
          title: 'SCHEMA',
          value: ({ schema: written, enforced }: (typeof items)[number]) =>
            written === null ? 'any JSON' : enforced === true ? 'yes, enforced by the database' : 'yes',
        },
        {
          title: 'DESCRIPTION',
          value: ({ description }: (typeof items)[number]) =>
            cut(printable(description ?? ''), descriptionCharacters),
        },
      ];
      return table(columns, items, colours);
    });
  }
  const found = Object.hasOwn(types, type) ? types[type] : undefined;
  if (found === undefined) throw unknownType(type, Object.keys(types));
  out.result({ type, ...found }, () =>
    found.schema === null
      ? 'it has no schema: any JSON is taken\n'
      : `${JSON.stringify(found.schema, null, 2)}\n`,
  );
}

function unknownType(type: string, known: readonly string[]): OutboxError {
  const nearest = nearestWord(type, known);
  return new OutboxError('OUTBOX_NOT_FOUND', `outbox.yaml names no event type ${JSON.stringify(type)}`, {
    hint: nearest === null ? 'events schema lists those it names.' : `Did you mean ${nearest}?`,
  });
}
