/** Brokers that run on Java, and PostgreSQL's driver for it: jars that test/support/brokers/jars/fetch put into .outbox/brokers. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { delimiter } from 'node:path';
import { skipUnless } from '../requires.ts';

export type JavaBroker = 'kafka' | 'rocketmq' | 'elasticmq' | 'jdbc';

/** The class path; undefined where the jars were not fetched or there is no Java. */
export function classPath(broker: JavaBroker): string | undefined {
  const folder = join(import.meta.dirname, '..', '..', '..', '.outbox', 'brokers', broker);
  const hasJava = (process.env['PATH'] ?? '').split(delimiter).some((each) => existsSync(join(each, 'java')));
  return hasJava && existsSync(join(folder, 'fetched.xml')) ? join(folder, '*') : undefined;
}

/** First in a test: skips it where the broker cannot run. */
export function requireJars(broker: JavaBroker): void {
  skipUnless(
    classPath(broker) !== undefined,
    `no Java, or test/support/brokers/jars/fetch ${broker} was not run`,
  );
}
