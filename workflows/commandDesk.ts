import { currentUpdateInfo, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities, ResolutionAnswer } from '../activities/index.ts';
import {
  parseCommand,
  resolutionActions,
  type ParsedCommand,
  type ResolutionAction,
} from '../src/core/command.ts';
import { signals, updates, type CommandLine } from './contract.ts';

interface Waiting {
  /** Characters of the command as JSON. */
  readonly size: number;
  readonly command: ParsedCommand;
  readonly via: 'signal' | 'update';
  readonly answer?: (answer: ResolutionAnswer) => void;
  readonly fail?: (error: unknown) => void;
}

const shownLines = 20;
/**
 * Characters handed on to the next run, and commands and characters given to one activity. Either must stay below Temporal's limit for one
 * payload, 2 MB: above it the server fails the workflow.
 */
const maximumCarried = 400_000;
const atOnce = { commands: 100, characters: 256 * 1024 };

const descriptions: Record<ResolutionAction, string> = {
  retry: 'Send it again, policy afresh, same key. Input: empty, or {"event": "<id>"}',
  edit: 'Correct and send under a new key. Input: {"payload": …} and/or {"headers": {…}}',
  redirect: 'Send it elsewhere instead. Input: {"to": "<destination>"}',
  discard: 'Give it up, for the record. Input: {"reason": "…"}',
};

/**
 * Takes commands from signals and updates, carries them out one after another, and remembers the latest answers. Handlers only
 * queue: an exception in one would fail or block the workflow.
 */
export class CommandDesk {
  readonly lines: CommandLine[];
  /** Signals received by this workflow, earlier runs included. */
  signals: number;
  readonly #resolve: Activities['resolve'];
  readonly #queue: Waiting[] = [];

  constructor(
    resolve: Activities['resolve'],
    signalsBefore: number,
    linesBefore: readonly CommandLine[],
    carriedOver: readonly ParsedCommand[],
  ) {
    this.#resolve = resolve;
    this.signals = signalsBefore;
    this.lines = [...linesBefore];
    for (const command of carriedOver) this.#push({ command, via: 'signal' });
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  open(): void {
    for (const action of resolutionActions) {
      const description = descriptions[action];
      setHandler(signals[action], (input: unknown) => this.#queueSignal(action, input), { description });
      setHandler(updates[action], (input: unknown) => this.#queueUpdate(action, input), { description });
    }
  }

  /**
   * Carries out what waits, up to a hundred in one activity: ten thousand signals must not fill the history. Answers
   * whether any of it changed a row.
   */
  async work(): Promise<boolean> {
    const taken = this.#take();
    if (taken.length === 0) return false;
    try {
      const answers = await this.#resolve(taken.map(({ command, via }) => ({ command, via })));
      taken.forEach((waiting, index) => {
        const answer = answers[index] as ResolutionAnswer;
        this.#note(waiting.command, answer);
        waiting.answer?.(answer);
      });
      return answers.some(({ outcome }) => outcome === 'done');
    } catch (error) {
      for (const { fail } of taken) fail?.(error);
      throw error;
    }
  }

  /** What waits, for the next run to carry out; null while there are updates, which this run must answer, or too much of it. */
  carriedOver(): readonly ParsedCommand[] | null {
    const characters = this.#queue.reduce((sum, { size }) => sum + size, 0);
    if (characters > maximumCarried || this.#queue.some(({ via }) => via === 'update')) return null;
    return this.#queue.map(({ command }) => command);
  }

  /** As many of those that wait as fit in one activity's input, at least one. */
  #take(): Waiting[] {
    let characters = 0;
    const end = this.#queue.findIndex(({ size }, index) => {
      characters += size;
      return index === atOnce.commands || (index > 0 && characters > atOnce.characters);
    });
    return this.#queue.splice(0, end === -1 ? this.#queue.length : end);
  }

  /**
   * A signal has no id of its own, and Temporal sends it again to the run that a reset makes. Its number among all
   * signals of this chain of runs is the same then, so the second time is recognised in SQL and does nothing.
   */
  #queueSignal(action: ResolutionAction, input: unknown): void {
    this.signals++;
    const command = parseCommand(action, input);
    const commandId = command.commandId ?? `${workflowInfo().firstExecutionRunId}#${this.signals}`;
    this.#push({ command: { ...command, commandId }, via: 'signal' });
  }

  #queueUpdate(action: ResolutionAction, input: unknown): Promise<ResolutionAnswer> {
    const command = parseCommand(action, input);
    const { firstExecutionRunId } = workflowInfo();
    const commandId = command.commandId ?? `${firstExecutionRunId}/${currentUpdateInfo()?.id ?? ''}`;
    return new Promise((answer, fail) =>
      this.#push({ command: { ...command, commandId }, via: 'update', answer, fail }),
    );
  }

  #push(waiting: Omit<Waiting, 'size'>): void {
    this.#queue.push({ ...waiting, size: JSON.stringify(waiting.command).length });
  }

  #note({ action, actor }: ParsedCommand, { outcome, message }: ResolutionAnswer): void {
    this.lines.push({ at: new Date().toISOString(), action, actor: actor ?? null, outcome, message });
    if (this.lines.length > shownLines) this.lines.shift();
  }
}
