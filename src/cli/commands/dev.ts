import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ownDestinationTypes } from '../destinationTypes.ts';
import { parseConfig, type LoadedConfig } from '../../config/load.ts';
import type { OutboxConfig } from '../../core/destination.ts';
import { withOwnTypes } from '../../destination/registry.ts';
import { inspectDestinations } from '../doctor/destinations.ts';
import { startLocalOutbox, type LocalOutbox } from '../../testing/localOutbox.ts';
import { checkFilters, readConfigFile } from '../configFile.ts';
import { listenForInterruption } from '../interruption.ts';
import { createLog } from '../log.ts';
import type { Output } from '../output.ts';
import { printable } from '../../core/printable.ts';
import { cut, facts } from '../table.ts';
import { routeTemporalLog } from '../temporalRuntime.ts';
import { dashboardPort, defaultPorts } from '../ports.ts';

export interface DevOptions {
  readonly config?: string;
  readonly data?: string;
}

/** `dev`: everything on this machine, until SIGTERM or SIGINT. */
export async function dev(out: Output, options: DevOptions): Promise<void> {
  const file = await readConfigFile(options.config, out, 'refuse');
  const hello = file === undefined ? await listenForHello(out) : undefined;
  const log = await createLog(process.stderr, 'info');
  const interruption = listenForInterruption(() => out.note('stopping …'));
  routeTemporalLog(log);
  const { config, source } = file ?? helloConfig();
  try {
    const outbox = await startLocalOutbox({
      config,
      destinationTypes: await ownDestinationTypes(),
      source: source.text,
      log,
      ports: defaultPorts,
      dashboardPort,
      onProgress: out.note,
      env: { ...process.env, ...hello?.env },
      ...(file === undefined ? {} : { beforeConfig: (db) => checkFilters(db, file) }),
      ...(options.data === undefined ? {} : { dataDir: options.data }),
    });
    try {
      if (!interruption.signal.aborted) sayReady(out, outbox, file?.source.path, options.data);
      if (file !== undefined) void sayWhatIsMissing(out, file.config);
      await Promise.race([outbox.failed, interruption.requested]);
    } finally {
      await outbox.stop();
    }
    out.note('stopped');
  } finally {
    hello?.server.close();
    hello?.server.closeAllConnections();
  }
}

function sayReady(
  out: Output,
  outbox: LocalOutbox,
  file: string | undefined,
  data: string | undefined,
): void {
  const { databaseUrl, temporalAddress, temporalUi, dashboard } = outbox;
  const ready = { ready: true, databaseUrl, temporalAddress, temporalUi, dashboard };
  out.result(
    ready,
    (colours) =>
      `\n${colours.green('ready')}\n` +
      facts(
        [
          ['PostgreSQL', databaseUrl],
          ['Temporal', temporalAddress],
          ['Temporal UI', temporalUi],
          ...(dashboard === null ? [] : [['dashboard', dashboard] as [string, string]]),
          [
            'configuration',
            file ?? 'none here: every event goes to a receiver inside this process, shown below',
          ],
          ['data', data ?? 'temporary; keep it with --data DIR'],
        ],
        colours,
      ) +
      `\nIn another terminal:\n` +
      `  export OUTBOX_DATABASE_URL='${databaseUrl}' TEMPORAL_ADDRESS=${temporalAddress} TEMPORAL_UI_URL=${temporalUi}\n` +
      `  npx temporal-outbox send order.created --key o-1 --payload '{"order": 1}'\n` +
      `  npx temporal-outbox events list --key o-1\n  npx temporal-outbox status\n\nCtrl-C stops everything.\n\n`,
  );
}

/** What destinations name and their servers do not have: here it is a slip of the pen more often than an outage. */
async function sayWhatIsMissing(out: Output, { destinations }: OutboxConfig): Promise<void> {
  const types = withOwnTypes(await ownDestinationTypes());
  const inspections = await inspectDestinations(destinations, types, process.env);
  for (const { destination, level, found, hint } of inspections)
    if (level !== 'ok') out.note(printable(`${destination}: ${found}. ${hint ?? ''}`));
}

/** Without a file, something that can be seen to work. */
function helloConfig(): Pick<LoadedConfig, 'config' | 'source'> {
  const text = [
    'destinations:',
    '  hello:',
    '    type: http',
    '    url: ${OUTBOX_HELLO_URL}',
    'routes:',
    "  - match: '*'",
    '    to: [hello]',
    '',
  ].join('\n');
  // The address differs from start to start, the stored configuration does not.
  const { config } = parseConfig(text, {
    path: '(built in)',
    env: { OUTBOX_HELLO_URL: 'http://127.0.0.1:1' },
  });
  return { config, source: { path: '(built in)', text } };
}

async function listenForHello(out: Output): Promise<{ server: Server; env: Record<string, string> }> {
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      out.note(
        `received ${printable(request.headers['idempotency-key']?.toString() ?? '')} ${printable(cut(body, 200))}`,
      );
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { server, env: { OUTBOX_HELLO_URL: `http://127.0.0.1:${port}/` } };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
