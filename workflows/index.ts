export { deliver } from './deliver.ts';
export { housekeeping } from './housekeeping.ts';
export { preparedMessage } from './preparedMessage.ts';
