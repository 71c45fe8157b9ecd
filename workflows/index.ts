export { deliver } from './deliver.ts';
export { housekeeping } from './housekeeping.ts';
