/** The stream that a destination names: made where the configuration says so, and only then; looked at for `doctor`. */
import { errorText } from '../shared/networkErrors.ts';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import type { NatsSettings } from './keys.ts';
import { NatsLink, type OpenConnection } from './connection.ts';
import { prepareServer } from './server.ts';
import { subjectsOf } from './subject.ts';

/** Without an effect on one of that name that is there already. */
export async function declareStream(connection: OpenConnection, settings: NatsSettings): Promise<void> {
  const { streams } = await connection.manager();
  const name = settings.stream!;
  if ((await infoOf(connection, name)) !== null) return;
  try {
    await streams.add({ name, subjects: [subjectsOf(settings.subject)] });
  } catch (error) {
    // Another process was first.
    if ((await infoOf(connection, name)) === null) throw error;
  }
}

async function infoOf({ manager }: OpenConnection, name: string) {
  const { streams } = await manager();
  try {
    return await streams.info(name);
  } catch (error) {
    if ((error as Error).name === 'StreamNotFoundError') return null;
    throw error;
  }
}

export async function inspectNats(
  settings: NatsSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const server = prepareServer(settings, services);
  const link = new NatsLink(server);
  try {
    const connection = await link.connected();
    return [await lookAtStream(connection, server.label, settings)];
  } catch (error) {
    return [
      {
        level: 'fail',
        found: errorText(error).startsWith(server.label)
          ? errorText(error)
          : `${server.label}: ${errorText(error)}`,
        hint: 'Is the server there with JetStream, and is the login its own?',
      },
    ];
  } finally {
    await link.close();
  }
}

async function lookAtStream(
  connection: OpenConnection,
  label: string,
  { subject, stream, declare }: NatsSettings,
): Promise<Inspection> {
  const wanted = subjectsOf(subject);
  const name = stream ?? (await streamOf(connection, new Template(subject).isConstant ? subject : wanted));
  const info = name === null ? null : await infoOf(connection, name);
  if (info === null) {
    if (declare) return ok(`${label}: no stream ${stream!} yet; it is made at the first event`);
    return {
      level: 'fail',
      found:
        stream === null ? `${label}: no stream takes ${wanted}` : `${label}: there is no stream ${stream}`,
      hint: `Make it (nats stream add), correct the name, or have it made: stream: NAME, declare: true.`,
    };
  }
  const { subjects = [], no_ack, storage, duplicate_window } = info.config;
  const about = `${label}: stream ${info.config.name} (${subjects.join(', ')})`;
  if (no_ack === true)
    return {
      level: 'fail',
      found: `${about} does not acknowledge (no_ack)`,
      hint: 'Take no_ack off: nothing can be known to be stored.',
    };
  if (!subjects.some((each) => covers(each, wanted)))
    return {
      level: 'warn',
      found: `${about} does not take all of ${wanted}`,
      hint: 'Add the subjects to the stream; events that none takes are refused as unroutable.',
    };
  if (String(storage) === 'memory')
    return {
      level: 'warn',
      found: `${about} is kept in memory: what it acknowledged is gone when the server ends`,
      hint: 'Use a stream with file storage.',
    };
  return ok(`${about} is there; repeats within ${Math.round(duplicate_window / 1e9)} s are stored once`);
}

async function streamOf({ manager }: OpenConnection, subject: string): Promise<string | null> {
  const { streams } = await manager();
  for await (const each of streams.names(subject)) return each;
  return null;
}

/** Whether a stream's subject takes all that the other says. */
function covers(pattern: string, wanted: string): boolean {
  const given = pattern.split('.');
  const asked = wanted.split('.');
  for (const [index, token] of given.entries()) {
    if (token === '>') return asked.length > index;
    const other = asked[index];
    if (other === undefined || other === '>' || (token !== '*' && token !== other)) return false;
  }
  return given.length === asked.length;
}

function ok(found: string): Inspection {
  return { level: 'ok', found, hint: null };
}
