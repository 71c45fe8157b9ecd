export { deliver } from './deliver.ts';
export { destination } from './destination.ts';
export { housekeeping } from './housekeeping.ts';
export { redrive } from './redrive.ts';
export { preparedMessage } from './preparedMessage.ts';
export { replay } from './replay.ts';
