import type { OutgoingMessage } from '../../core/outcome.ts';
import { Template } from './template.ts';

/** What a template comes to for a sample event, for `config explain`; what the sample lacks is said in its place. `made`: what the type makes of the text. */
export function explainedTemplate(
  written: string,
  sample: OutgoingMessage,
  made: (text: string) => string = (text) => text,
): string {
  const filling = new Template(written).fill(sample);
  if (!('value' in filling)) return `‹${'missing' in filling ? filling.missing : filling.notLoaded}›`;
  try {
    return made(filling.value);
  } catch {
    return filling.value;
  }
}
