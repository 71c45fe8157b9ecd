import { setCurrentDetails } from '@temporalio/workflow';
import type { DestinationStanding } from '../activities/index.ts';
import type { DestinationAction } from '../src/core/command.ts';
import { markdownText as plain } from '../src/core/markdown.ts';
import type { CommandLine } from './contract.ts';
import { commandLog, utc } from './page.ts';

/** The Markdown a person reads on the page of a destination's workflow: what is the matter, since when, what happens next, what to send. */
export function showDestination(
  standing: DestinationStanding | null,
  lines: readonly CommandLine<DestinationAction>[],
): void {
  const parts =
    standing === null
      ? ['### There is no such destination any more']
      : [heading(standing), whatHappens(standing), facts(standing), whatToSend(standing)];
  setCurrentDetails([...parts, commandLog(lines)].filter(Boolean).join('\n\n'));
}

function heading({ destination, paused, state }: DestinationStanding): string {
  if (paused) return `### ${plain(destination)} is **paused**, waiting for a person`;
  if (state === 'open') return `### The circuit of ${plain(destination)} is **open**: it is taken for sick`;
  if (state === 'half-open')
    return `### The circuit of ${plain(destination)} is **half-open**: it answers again, few events are sent`;
  return `### ${plain(destination)} is well`;
}

/** Whether whoever reads this has to do something. */
function whatHappens({ paused, pausedByRefusals, state }: DestinationStanding): string {
  if (paused && pausedByRefusals)
    return 'It refused everything alike, so nothing is sent, **and nothing goes on by itself**. Mend its key or its address, see with `probe` whether it takes events again, then `resume`.';
  if (paused) return 'A person paused it: nothing is sent until it is resumed.';
  if (state === 'open')
    return '**It goes on by itself** once it answers: a few events are sent as probes until then. Tell those who run it; there is nothing to be done here.';
  if (state === 'half-open')
    return '**It goes on by itself**: more and more events are sent while they are answered.';
  return '';
}

function facts(standing: DestinationStanding): string {
  const { paused, state, since, reason, failedProbes, nextProbeAt, waiting, openedAt } = standing;
  if (!paused && state === 'closed') return '';
  return [
    `- since ${utc(openedAt !== null && !paused ? openedAt : since)}: ${plain(reason ?? 'no reason given')}`,
    `- last answer: **${plain(lastAnswer(standing))}**`,
    `- ${waiting > 10_000 ? 'more than 10,000' : waiting} waiting to be sent; none of them is charged an attempt`,
    ...(!paused && state === 'open'
      ? [`- ${spokenProbes(failedProbes)}, next probe ${utc(nextProbeAt)}`]
      : []),
  ].join('\n');
}

function spokenProbes(failed: number): string {
  if (failed === 0) return 'not probed yet';
  return failed === 1 ? 'probed once in vain' : `probed ${failed} times in vain`;
}

function lastAnswer({ lastStatus, lastErrorClass }: DestinationStanding): string {
  return lastStatus === null ? (lastErrorClass ?? 'none') : `HTTP ${lastStatus}`;
}

function whatToSend({ destination, paused, state }: DestinationStanding): string {
  if (!paused && state === 'closed') return '';
  return [
    '**More Actions → Send a Signal** and one of:',
    '',
    paused
      ? '- `resume`, input empty: send again, from the oldest on'
      : '- `probe`, input empty: try a few events now',
    paused
      ? '- `probe`, input empty: try a few events, and stay paused'
      : '- `resume`, input empty: close the circuit, send at once',
    paused
      ? '- `park`, input `{"olderThan": "1d"}`: park old events in one workflow'
      : '- `pause`, input `{"reason": "…"}`: stop probing, wait for a person',
    '',
    `Or from a shell: \`temporal-outbox destinations ${paused ? 'resume' : 'probe'} ${destination}\``,
  ].join('\n');
}
