import { printable } from '../core/printable.ts';
import { isNobodys, type LackingWork } from '../storage/lacking.ts';

/** One line: `nobody can send to billing: environment variable X is not set`. */
export function lackingInWords(work: LackingWork): string {
  const { kind, name, problem, lacking, goingOn, workers } = work;
  const who = isNobodys(work) ? 'nobody can' : `${lacking} of ${workers} workers cannot`;
  const what = kind === 'destination' ? `send to ${name}` : `ask ${name} back`;
  const still = goingOn === 0 ? '' : ` as the latest configuration says (${goingOn} go on by the one before)`;
  return `${who} ${what}${still}: ${printable(problem)}`;
}
