import type { Log } from '../../activities/index.ts';
import { redactorFor } from '../core/redact.ts';
import { logLevels, type LogLevel } from './logLevels.ts';
import { coloursFor } from './output.ts';
import { printable, printableJson } from '../core/printable.ts';

/** One JSON object a line for machines; on a terminal, one line a person can read. Secrets of the environment are hidden in both. */
export async function createLog(stream: NodeJS.WriteStream, level: LogLevel = 'info'): Promise<Log> {
  const redact = redactorFor(process.env);
  if (stream.isTTY === true) return linesFor(stream, level, redact);
  const { pino } = await import('pino');
  const options = {
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    hooks: { streamWrite: (line: string) => printableJson(redact(line)) },
  };
  const logger = pino(options, stream);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    enabled: (asked) => logger.isLevelEnabled(asked),
  };
}

function linesFor(stream: NodeJS.WriteStream, level: LogLevel, redact: (text: string) => string): Log {
  const colours = coloursFor(stream);
  const paint = { debug: colours.dim, info: colours.green, warn: colours.yellow, error: colours.red };
  const enabled = (name: LogLevel): boolean => logLevels.indexOf(name) >= logLevels.indexOf(level);
  const at =
    (name: LogLevel) =>
    (fields: object, message: string): void => {
      if (!enabled(name)) return;
      const time = colours.dim(new Date().toISOString().slice(11, 23));
      const rest = Object.entries(fields)
        .map(
          ([key, value]) =>
            `${printable(key)}=${printable(typeof value === 'string' ? value : JSON.stringify(value))}`,
        )
        .join(' ');
      const line = `${time} ${paint[name](name.padEnd(5))} ${printable(message)} ${colours.dim(rest)}\n`;
      stream.write(redact(line));
    };
  return { enabled, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** For commands whose own words are enough. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
