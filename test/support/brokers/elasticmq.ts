/** SQS as ElasticMQ has it: it keeps its messages in a file, so it can be killed, and is fast enough for volumes, which moto (sqs.ts) is not. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../src/embedded/ports.ts';
import { classPath } from './jars.ts';
import { brokerDirectory, launchBroker, type BrokerProcess } from './process.ts';

export interface TestElasticmq extends BrokerProcess {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
}

/** The caller stops it. */
export async function launchElasticmq(): Promise<TestElasticmq> {
  const directory = await brokerDirectory('elasticmq');
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const file = join(directory, 'server.conf');
  await writeFile(file, configuration(directory, port));
  const broker = await launchBroker({
    directory,
    port,
    command: 'java',
    args: ['-Xmx512m', `-Dconfig.file=${file}`, '-cp', classPath('elasticmq')!, 'org.elasticmq.server.Main'],
    ready: async () => {
      const answer = await fetch(`${endpoint}/?Action=ListQueues`);
      if (!answer.ok) throw new Error(`ElasticMQ answered ${answer.status}`);
    },
    patience: 120_000,
  });
  return { port, endpoint, ...broker };
}

/** WRITE_DELAY=0: what was acknowledged is in the file before the answer, as SQS has it; by default half a second of it is lost by a kill. */
const configuration = (directory: string, port: number): string => `
include classpath("application.conf")
pekko.loglevel = "WARNING"
node-address { protocol = http, host = "127.0.0.1", port = ${port}, context-path = "" }
rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = ${port}, sqs-limits = strict }
rest-stats { enabled = false }
messages-storage { enabled = true, uri = "jdbc:h2:${join(directory, 'messages')};WRITE_DELAY=0" }
`;
