/** The topic that a destination names: made where the configuration says so, and only then; looked at for `doctor`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Template } from '../shared/template.ts';
import type { Inspection, Services } from '../type.ts';
import { kafkaFailure } from './answers.ts';
import { readHostPorts } from '../shared/hostPorts.ts';
import { configsOf, KafkaLink, prepareCluster } from './cluster.ts';
import type { KafkaSettings } from './keys.ts';
import { counted } from '../../core/counted.ts';

/** Without an effect on one that is there already. */
export async function declareTopic(
  link: KafkaLink,
  topic: string,
  { partitions, replicas }: NonNullable<KafkaSettings['declare']>,
  timeoutMs: number,
): Promise<void> {
  const exists = await link.topic(topic, timeoutMs).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false;
      throw error;
    },
  );
  if (exists) return;
  await link.administer(async (admin) => {
    try {
      await admin.createTopics({ topics: [topic], partitions, replicas });
    } catch (error) {
      // Another process was first.
      if (!/TOPIC_ALREADY_EXISTS/.test(kafkaFailure(error, { said: '', isConstant: true }).message))
        throw error;
    }
  });
  await untilKnown(link, topic, timeoutMs);
}

const knownTriesMax = 50;
const knownPauseMs = 100;

/** A topic is made before the brokers know of it and its partitions have leaders. */
async function untilKnown(link: KafkaLink, topic: string, timeoutMs: number): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await link.topic(topic, timeoutMs);
      return;
    } catch (error) {
      if (tries === knownTriesMax) throw error;
      await sleep(knownPauseMs);
    }
  }
}

function isMissing(error: unknown): boolean {
  return kafkaFailure(error, { said: '', isConstant: true }).errorClass === 'unknown-target';
}

const inspectMs = 8_000;

export async function inspectKafka(
  settings: KafkaSettings,
  services: Services,
): Promise<readonly Inspection[]> {
  const cluster = prepareCluster(settings, services, readHostPorts);
  const { label } = cluster;
  const link = new KafkaLink(cluster);
  const template = new Template(settings.topic);
  const { topic } = settings;
  try {
    if (!template.isConstant) {
      await link.within(inspectMs, (producer) => producer.metadata({ topics: [], forceUpdate: true }));
      return [ok(`${label} answers; its topics differ by event (${topic})`)];
    }
    const found = await link.within(inspectMs, async (producer) =>
      (await producer.metadata({ topics: [topic] })).topics.get(topic),
    );
    const replicas = found?.partitions[0]?.replicas.length ?? 1;
    const configs = await link
      .administer((admin) => configsOf(admin, topic))
      .catch(() => new Map<string, string>());
    return [
      standing({
        about: `${label}: topic ${topic}`,
        partitions: found?.partitionsCount ?? 0,
        replicas,
        configs,
      }),
    ];
  } catch (error) {
    if (isMissing(error) && settings.declare !== null)
      return [ok(`${label}: no topic ${topic} yet; it is made at the first event`)];
    const { message, errorClass } = kafkaFailure(error, { said: label, isConstant: true });
    return [
      errorClass === 'unknown-target'
        ? {
            level: 'fail',
            found: `${label}: there is no topic ${topic}`,
            hint: 'Correct the name, make it on the cluster, or have it made: declare: true.',
          }
        : { level: 'fail', found: message, hint: 'Are the brokers there, and is the login their own?' },
    ];
  } finally {
    await link.close();
  }
}

function standing({
  about,
  partitions,
  replicas,
  configs,
}: {
  readonly about: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly configs: ReadonlyMap<string, string>;
}): Inspection {
  const inSync = configs.get('min.insync.replicas');
  const limit = configs.get('max.message.bytes');
  const known = [
    counted(partitions, 'partition'),
    counted(replicas, 'replica'),
    ...(inSync === undefined ? [] : [`min.insync.replicas ${inSync}`]),
    ...(limit === undefined ? [] : [`messages up to ${limit} bytes`]),
  ].join(', ');
  const found = `${about} is there: ${known}`;
  if (inSync !== undefined && Number(inSync) > replicas)
    return {
      level: 'warn',
      found,
      hint: 'min.insync.replicas is more than there are replicas: brokers before 4 acknowledge nothing then.',
    };
  if (replicas > 1 && inSync === '1')
    return {
      level: 'warn',
      found,
      hint: 'A message may be acknowledged by its leader alone; set min.insync.replicas to 2 on the topic.',
    };
  return ok(found);
}

function ok(found: string): Inspection {
  return { level: 'ok', found, hint: null };
}
