/** A broker of RocketMQ administered by its own protocol: Java's tools take seconds of a processor each. */
import { connect } from 'node:net';
import { freePort } from '../../../src/embedded/ports.ts';

interface Answer {
  /** 0 when it was done. */
  readonly code: number;
  readonly remark: string;
  readonly body: string;
}

export interface RocketmqAdmin {
  /** Lines of broker.conf. */
  readonly settings: readonly string[];
  createTopic(topic: string, kind: 'NORMAL' | 'FIFO'): Promise<void>;
  createGroup(group: string, options: { readonly ordered: boolean }): Promise<void>;
  /**
   * How many messages a group has not acknowledged: those that nobody took, those that come again, and, while none of the group is
   * connected, those that were taken.
   */
  left(group: string, topic: string): Promise<number>;
}

/** @param port of the broker */
export async function rocketmqAdmin(port: number): Promise<RocketmqAdmin> {
  const metricsPort = await freePort();
  const must = async (code: number, fields: object, body?: object): Promise<Answer> => {
    const answer = await ask(port, code, fields, body);
    if (answer.code !== 0) throw new Error(`request ${code}: ${answer.code} ${answer.remark}`);
    return answer;
  };
  const lag = async (group: string, topic: string): Promise<number> => {
    const answer = await ask(port, requests.consumeStats, { consumerGroup: group, topic });
    if (answer.code === topicNotThere) return 0;
    if (answer.code !== 0) throw new Error(`${answer.code} ${answer.remark}`);
    const queues = [...answer.body.matchAll(/"brokerOffset":(\d+),"consumerOffset":(-?\d+)/g)];
    return queues.reduce((sum, [, broker, consumer]) => sum + Number(broker) - Number(consumer), 0);
  };
  const inFlight = async (group: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    return text
      .split('\n')
      .filter((line) => line.startsWith('rocketmq_consumer_inflight_messages{'))
      .filter((line) => line.includes(`consumer_group="${group}"`))
      .reduce((sum, line) => sum + Number(/\} (\S+)/.exec(line)?.[1]), 0);
  };
  return {
    settings: [
      'metricsExporterType=PROM',
      'metricsPromExporterHost=127.0.0.1',
      `metricsPromExporterPort=${metricsPort}`,
    ],
    async createTopic(topic, kind) {
      await must(requests.createTopic, {
        ...{ topic, defaultTopic: 'TBW102', readQueueNums: 4, writeQueueNums: 4, perm: 6 },
        ...{ topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false },
        attributes: `+message.type=${kind}`,
      });
    },
    async createGroup(groupName, { ordered }) {
      await must(requests.createGroup, {}, { groupName, consumeMessageOrderly: ordered });
    },
    left: async (group, topic) => {
      const topics = [topic, `%RETRY%${group}_${topic}`];
      const lags = await Promise.all(topics.map((each) => lag(group, each)));
      return lags.reduce((sum, each) => sum + each, await inFlight(group));
    },
  };
}

const requests = { createTopic: 17, createGroup: 200, consumeStats: 208 } as const;
const topicNotThere = 17;

/** A length, the header's length, a header of JSON, and a body. */
function ask(port: number, code: number, fields: object, body: object = {}): Promise<Answer> {
  const extFields = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
  const header = Buffer.from(
    JSON.stringify({ code, extFields, flag: 0, language: 'OTHER', opaque: 1, version: 479 }),
  );
  const content = Buffer.from(JSON.stringify(body));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length + content.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let said = Buffer.alloc(0);
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer of the broker')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the broker hung up')));
    socket.on('data', (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]);
      if (said.length < 8 || said.length < 4 + said.readUInt32BE(0)) return;
      const end = 8 + (said.readUInt32BE(4) & 0xffffff);
      const { code, remark = '' } = JSON.parse(said.toString('utf8', 8, end)) as Answer;
      resolve({ code, remark, body: said.toString('utf8', end, 4 + said.readUInt32BE(0)) });
      socket.destroy();
    });
    socket.write(Buffer.concat([lengths, header, content]));
  });
}
