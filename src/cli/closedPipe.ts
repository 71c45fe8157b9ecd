import { closedPipeEvent } from './interruption.ts';

/** `temporal-outbox dlq list | head -1` closes our stdout early: that is no error, and nobody is left to tell. */
export function quietOnClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // A command that serves stops in order; anything else has nothing left to do.
    const events: NodeJS.EventEmitter = process;
    if (!events.emit(closedPipeEvent)) process.exit(0);
  });
}
