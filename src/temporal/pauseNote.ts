import type { WorkflowPause } from './standing.ts';

/** `paused in the Temporal UI by ann@host at …: too many complaints` */
export function noteOf(pause: WorkflowPause | null): string | null {
  if (pause === null) return null;
  const { by, at, reason } = pause;
  return (
    `paused in the Temporal UI by ${by === '' ? 'somebody' : oneLine(by)}` +
    (at === null ? '' : ` at ${at}`) +
    (reason === null ? '' : `: ${oneLine(reason)}`)
  );
}

/** A person's words, bounded; whoever shows them to a person takes out what a terminal would obey. */
function oneLine(text: string): string {
  return text.replace(/\s+/gu, ' ').slice(0, 300);
}
