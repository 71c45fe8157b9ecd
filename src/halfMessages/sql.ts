/** The calls as SQL, on any client. Those of one client that come together go together. */
import type { MessageState } from '../core/messageState.ts';
import { OutboxError } from '../errors.ts';
import { rowsExpected, rowsOf, type SqlClient } from '../produce/client.ts';
import { explainRefusedEvent } from '../produce/refusals.ts';
import { driverErrorOf } from '../storage/driverError.ts';
import { explainDatabaseError } from '../storage/errors.ts';
import { messageColumns } from '../storage/messageColumns.ts';
import type { CheckedMessage, PreparedMessage, SettledMessage } from './message.ts';
import { together } from './together.ts';

type Settling = 'commit' | 'rollback';

interface Calls {
  readonly prepare: (message: CheckedMessage) => Promise<PreparedMessage>;
  readonly commit: (id: string) => Promise<SettledMessage>;
  readonly rollback: (id: string) => Promise<SettledMessage>;
}

const callsOfClients = new WeakMap<SqlClient, Calls>();

function callsOf(client: SqlClient): Calls {
  let calls = callsOfClients.get(client);
  if (calls === undefined) {
    calls = {
      prepare: preparing(client),
      commit: settling(client, 'commit'),
      rollback: settling(client, 'rollback'),
    };
    callsOfClients.set(client, calls);
  }
  return calls;
}

export async function prepareMessage(client: SqlClient, message: CheckedMessage): Promise<PreparedMessage> {
  return callsOf(client).prepare(message).catch(explain);
}

export async function settleMessage(client: SqlClient, id: string, how: Settling): Promise<SettledMessage> {
  return callsOf(client)[how](id.toLowerCase()).catch(explain);
}

const preparedColumns = 'message_id as id, state, inserted';

/** Only where there are bytes: what is not asked for needs no newer schema. */
const decodedList = `, array(select decode(b, 'base64') from unnest($11::text[]) with ordinality u(b, n) order by n)`;

function preparing(client: SqlClient): Calls['prepare'] {
  return together({
    many: async (messages) => {
      const values = messages.map(valuesOf);
      const bytes = messages.map(({ payloadBase64 }) => payloadBase64 ?? null);
      const hasBytes = bytes.some((each) => each !== null);
      const answer = await client.query(
        `select ${preparedColumns} from outbox.prepare_messages($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[],
           $6::text[], $7::timestamptz[], $8::text[], $9::text[], $10::text[]${hasBytes ? decodedList : ''})`,
        [
          ...Array.from({ length: 10 }, (_, column) => values.map((row) => row[column])),
          ...(hasBytes ? [bytes] : []),
        ],
      );
      return rowsOf<PreparedMessage>(answer);
    },
    one: async (message) => {
      const answer = await client.query(
        `select ${preparedColumns} from outbox.prepare_message($1, $2, $3::jsonb, $4::uuid, $5, $6::jsonb, $7::timestamptz, $8, $9, $10${
          message.payloadBase64 === undefined ? '' : `, decode($11, 'base64')`
        })`,
        [...valuesOf(message), ...(message.payloadBase64 === undefined ? [] : [message.payloadBase64])],
      );
      return rowsExpected<PreparedMessage>(answer, 1)[0] as PreparedMessage;
    },
    sizeOf: ({ payloadText, payloadBase64 }) => (payloadText ?? payloadBase64).length,
  });
}

function valuesOf(message: CheckedMessage): (string | null)[] {
  return [
    message.producer,
    message.type,
    message.payloadText ?? null,
    message.id,
    message.key ?? null,
    message.headers === undefined ? null : JSON.stringify(message.headers),
    message.deliverAt?.toISOString() ?? null,
    message.source ?? null,
    message.subject ?? null,
    message.contentType ?? null,
  ];
}

const settledColumns = 'message_id as id, state, event_id as "eventId", changed';

function settling(client: SqlClient, how: Settling): Calls[Settling] {
  return together({
    many: async (ids) => {
      const answer = await client.query(`select ${settledColumns} from outbox.${how}_messages($1::uuid[])`, [
        [...new Set(ids)],
      ]);
      const answers = new Map(rowsOf<SettledMessage>(answer).map((answer) => [answer.id, answer]));
      return ids.map((id, index) => {
        const answer = answers.get(id) as SettledMessage;
        return ids.indexOf(id) === index ? answer : { ...answer, changed: false };
      });
    },
    one: async (id) => {
      const answer = await client.query(`select ${settledColumns} from outbox.${how}_message($1::uuid)`, [
        id,
      ]);
      return rowsExpected<SettledMessage>(answer, 1)[0] as SettledMessage;
    },
  });
}

export async function readMessage(client: SqlClient, id: string): Promise<MessageState> {
  const [found] = await ask<MessageState>(
    client,
    `select ${messageColumns('m.message_id')} from outbox.message_state($1::uuid) m`,
    [id],
  );
  if (found !== undefined) return found;
  throw new OutboxError('OUTBOX_NOT_FOUND', `there is no half message ${id}`, {
    hint: 'It was never prepared, or was settled more than a week ago.',
  });
}

async function ask<Row>(client: SqlClient, text: string, values: unknown[]): Promise<Row[]> {
  return rowsOf<Row>(await client.query(text, values).catch(explain));
}

function explain(error: unknown): never {
  throw (
    explainConflict(error) ?? explainRefusedEvent(error) ?? explainDatabaseError(error, 'the outbox database')
  );
}

/** Somebody wrote an event under the message's id. */
function explainConflict(error: unknown): OutboxError | undefined {
  const { code, table, constraint, message } = driverErrorOf(error);
  if (code !== '23505' || !/^events/.test(table ?? constraint ?? '')) return undefined;
  return new OutboxError('OUTBOX_EVENT_CONFLICT', `an event has the id of this message: ${message}`, {
    cause: error,
    hint: 'Ids of half messages are for nothing else. Roll this one back and prepare it again under a new id.',
  });
}
