/**
 * Loaded with `node --import`: the process dies, as by kill -9, the moment before it would send the query that DIE_AT_QUERY (a
 * regular expression) matches, for the DIE_AT_COUNT-th time (1 without it).
 */
import { createRequire } from 'node:module';

const pg = createRequire(import.meta.url)('pg');
const pattern = new RegExp(process.env['DIE_AT_QUERY'] ?? '(?!)');
let left = Number(process.env['DIE_AT_COUNT'] ?? 1);
const { query } = pg.Client.prototype;

pg.Client.prototype.query = function (config, ...rest) {
  const text = typeof config === 'string' ? config : config.text;
  if (pattern.test(text) && --left === 0) process.kill(process.pid, 'SIGKILL');
  return query.call(this, config, ...rest);
};
