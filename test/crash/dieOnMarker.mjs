/**
 * Loaded with `node --import` into a worker: a payload that kills whoever sends it. The process dies the moment the marker is
 * written to a socket that is not PostgreSQL's or Temporal's.
 */
import { Socket } from 'node:net';

const marker = process.env['DIE_ON_MARKER'] ?? '';
const port = Number(process.env['DIE_ON_PORT']);
const { write } = Socket.prototype;

Socket.prototype.write = function (chunk, ...rest) {
  if (this.remotePort === port && marker !== '' && Buffer.from(chunk).includes(marker)) {
    process.kill(process.pid, 'SIGKILL');
  }
  return write.call(this, chunk, ...rest);
};
