/** What PostgreSQL said, however many layers of an object mapper are around it. Imports no driver. */

export interface DriverError extends Error {
  /** SQLSTATE, or a name of the operating system such as ECONNREFUSED. */
  readonly code?: string;
  readonly hint?: string;
  readonly detail?: string;
  readonly table?: string;
  readonly constraint?: string;
}

/** Where libraries keep the error that they wrap: the standard, Sequelize, TypeORM, MikroORM, Prisma. */
const inside = [
  'cause',
  'original',
  'parent',
  'driverError',
  'previous',
  'meta',
  'driverAdapterError',
] as const;
const layersMax = 8;

/**
 * The innermost error with a code of PostgreSQL's or the operating system's; where there is none, `error` itself. Its message is
 * without what libraries put around it, such as Knex the statement.
 */
export function driverErrorOf(error: unknown): DriverError {
  const found = innermost(error, layersMax);
  if (found === undefined) return (error ?? {}) as DriverError;
  const { message } = found;
  const bare = typeof message === 'string' ? withoutStatement(message) : '';
  if (bare === message) return found;
  const { code, hint, detail, table, constraint } = found;
  const told = { code, hint, detail, table, constraint };
  return {
    name: 'error',
    message: bare,
    ...Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)),
  };
}

function innermost(error: unknown, layers: number): DriverError | undefined {
  if (typeof error !== 'object' || error === null || layers === 0) return undefined;
  const layer = error as Record<string, unknown>;
  for (const name of inside) {
    const found = layer[name] === error ? undefined : innermost(layer[name], layers - 1);
    if (found !== undefined) return found;
  }
  if (Array.isArray(layer['errors']) && !isCode(layer['code']))
    return innermost(layer['errors'][0], layers - 1);
  const code = layer['originalCode'] ?? layer['code'];
  if (!isCode(code)) return undefined;
  // Prisma's adapters.
  if (layer['originalCode'] !== undefined)
    return {
      ...layer,
      name: 'error',
      code,
      message: [layer['originalMessage'], layer['message'], ''].find(
        (each) => typeof each === 'string',
      ) as string,
    };
  return error as DriverError;
}

/** Five of A-Z and 0-9; Prisma's own P2010 looks like one, and PostgreSQL has none of class P1 to P6 but P0. */
function isCode(code: unknown): code is string {
  return typeof code === 'string' && (/^(?!P[1-9])[0-9A-Z]{5}$/.test(code) || /^E[A-Z_]{4,}$/.test(code));
}

/** The end of each statement that a producer's call makes; what stands behind its last appearance is PostgreSQL's. */
export const statementEnd = '/* outbox */';

function withoutStatement(message: string): string {
  const end = message.lastIndexOf(`${statementEnd} - `);
  const behind = end === -1 ? message : message.slice(end + statementEnd.length + 3);
  // MikroORM puts behind it what the error has as fields of its own.
  return behind.replace(/\n - (detail|hint): [\s\S]*$/, '');
}
