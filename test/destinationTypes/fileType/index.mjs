/** A destination type of a user's own: each event a line of a file. Nothing of it is in src. */
import { appendFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  defineDestinationType,
  filled,
  messageHeaders,
  messageId,
  oneOf,
  pipelinedSender,
  refused,
  requireSize,
  Template,
  text,
  unreachable,
} from 'temporal-outbox/destination';

const lineBytes = 2 * 1024 * 1024;

export default defineDestinationType({
  name: 'file',
  keys: {
    folder: text({ min: 1, max: 1000 }, 'a folder').describe('Where the files are.'),
    file: text({ min: 1, max: 255 }, 'a file name').describe('A template.'),
    durability: oneOf(['none', 'sync']).optional().describe('Default none.'),
  },
  templates: ['file'],
  defaults: { concurrency: 200 },
  check(path, destination, { findings }) {
    if (typeof destination.folder === 'string' && !destination.folder.startsWith('/'))
      findings.problem([...path, 'folder'], 'expected an absolute path');
  },
  normalise: ({ folder, file, durability = 'none' }) => ({ folder, file, durability }),
  explain: ({ folder, file }, { sample }) => ({
    facts: { folder, file },
    address: `${folder}, file ${file}`,
    rows: [],
    answers: [['for example', filled(new Template(file).fill(sample), 'file name')]],
  }),
  problemOf: () => null,
  open({ folder, file, timeoutMs, concurrency }, { share }) {
    const name = new Template(file);
    let written = Promise.resolve();
    const fileOf = (message) => {
      const found = filled(name.fill(message), 'file name');
      if (!/^[\w.-]{1,100}$/.test(found))
        throw refused('invalid-message', `${JSON.stringify(found)} is no file name`);
      return join(folder, found);
    };
    return pipelinedSender(
      {
        async publish(message) {
          const { eventId, revision, type, key } = message;
          // A line is text: bytes stand in it as such, in base64.
          const payload =
            typeof message.payload === 'string' ? message.payload : { base64: toBase64(message.payload) };
          const headers = Object.fromEntries(messageHeaders(message, { cloudEvents: null }));
          const line = `${JSON.stringify({ id: messageId(eventId, revision), type, key, payload, headers })}\n`;
          requireSize(Buffer.byteLength(line), lineBytes, 'a line');
          const path = fileOf(message);
          // One after another: a long line is written in pieces, between which others would come.
          const writing = written.then(() => appendFile(path, line));
          written = writing.catch(() => undefined);
          await writing.catch((error) => {
            if (error.code === 'ENOENT')
              throw refused('unknown-target', `there is no folder ${folder}`, { permanent: false });
            throw unreachable('not-ready', error.message);
          });
        },
        describe: (message) => ({
          address: `file ${fileOf(message)}`,
          headers: Object.fromEntries(messageHeaders(message, { cloudEvents: null })),
        }),
        close: async () => undefined,
      },
      { timeoutMs, concurrency, share },
    );
  },
  async inspect({ folder }) {
    const found = await stat(folder).catch(() => null);
    return found?.isDirectory() === true
      ? [{ level: 'ok', found: `${folder} is there`, hint: null }]
      : [{ level: 'fail', found: `there is no folder ${folder}`, hint: `mkdir ${folder}` }];
  },
});

const toBase64 = (bytes) => Buffer.from(bytes).toString('base64');
