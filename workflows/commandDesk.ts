import {
  allHandlersFinished,
  condition,
  currentUpdateInfo,
  defineSignal,
  defineUpdate,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { ResolutionAnswer } from '../activities/index.ts';
import type { ParsedCommand } from '../src/core/command.ts';
import type { CommandLine } from './contract.ts';

/** A command with the way it came. */
export interface Received<Command> {
  readonly command: Command;
  readonly via: 'signal' | 'update';
}

/** What a desk takes, each as a signal and as an update, and who carries it out. */
export interface Counter<Action extends string, Command extends ParsedCommand<Action>> {
  /** What the Temporal UI says beside each name, in the order it is to show them. */
  readonly descriptions: Readonly<Record<Action, string>>;
  /** Never throws. */
  readonly parse: (action: Action, input: unknown) => Command;
  /** An answer for each, in their order. */
  readonly carryOut: (commands: readonly Received<Command>[]) => Promise<readonly ResolutionAnswer[]>;
}

/** What earlier runs of the workflow leave to this one. */
export interface Inheritance<Action extends string, Command> {
  readonly signalsBefore?: number;
  readonly linesBefore?: readonly CommandLine<Action>[];
  readonly carriedOver?: readonly Command[];
}

interface Waiting<Command> extends Received<Command> {
  /** Characters of the command as JSON. */
  readonly size: number;
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

/**
 * Takes commands from signals and updates, carries them out one after another, and remembers the latest answers. Handlers only
 * queue: an exception in one would fail or block the workflow.
 */
export class CommandDesk<Action extends string, Command extends ParsedCommand<Action>> {
  readonly lines: CommandLine<Action>[];
  /** Signals received by this workflow, earlier runs included. */
  signals: number;
  readonly #counter: Counter<Action, Command>;
  readonly #queue: Waiting<Command>[] = [];
  /** Signals of each name that this run received: its history has them in the same order. */
  readonly #received = new Map<Action, number>();

  constructor(
    counter: Counter<Action, Command>,
    { signalsBefore = 0, linesBefore = [], carriedOver = [] }: Inheritance<Action, Command>,
  ) {
    this.#counter = counter;
    this.signals = signalsBefore;
    this.lines = [...linesBefore];
    for (const command of carriedOver) this.#push({ command, via: 'signal' });
  }

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  open(): void {
    const { descriptions } = this.#counter;
    for (const action of Object.keys(descriptions) as Action[]) {
      const description = descriptions[action];
      const signal = defineSignal<[unknown]>(action);
      const update = defineUpdate<ResolutionAnswer, [unknown]>(action);
      setHandler(signal, (input) => this.#queueSignal(action, input), { description });
      setHandler(update, (input) => this.#queueUpdate(action, input), { description });
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
      const answers = await this.#counter.carryOut(taken.map(({ command, via }) => ({ command, via })));
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

  /**
   * Carries out commands while something else is under way: nobody waits ten minutes for an answer, and what is sent now is answered as
   * things are now, not kept. `onAnswered` is called after each. Answers whether one of them changed a row, too.
   */
  async serveDuring<T>(
    underWay: Promise<T>,
    onAnswered: () => Promise<void>,
  ): Promise<{ readonly result: T; readonly acted: boolean }> {
    let over = false;
    let acted = false;
    const end = (): void => void (over = true);
    underWay.then(end, end);
    for (;;) {
      await condition(() => over || this.waiting);
      if (over) return { result: await underWay, acted };
      if (await this.work()) acted = true;
      await onAnswered();
    }
  }

  /** Whoever waits for an answer gets it before the workflow ends. */
  async answerEverybody(): Promise<void> {
    do {
      await this.work();
      await condition(() => this.waiting || allHandlersFinished());
    } while (this.waiting);
  }

  /** What waits, for the next run to carry out; null while there are updates, which this run must answer, or too much of it. */
  carriedOver(): readonly Command[] | null {
    const characters = this.#queue.reduce((sum, { size }) => sum + size, 0);
    if (characters > maximumCarried || this.#queue.some(({ via }) => via === 'update')) return null;
    return this.#queue.map(({ command }) => command);
  }

  /** As many of those that wait as fit in one activity's input, at least one. */
  #take(): Waiting<Command>[] {
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
  #queueSignal(action: Action, input: unknown): void {
    this.signals++;
    const nth = (this.#received.get(action) ?? 0) + 1;
    this.#received.set(action, nth);
    const command = this.#counter.parse(action, input);
    const { firstExecutionRunId, runId } = workflowInfo();
    const commandId = command.commandId ?? `${firstExecutionRunId}#${this.signals}`;
    this.#push({ command: { ...command, commandId, origin: { runId, nth } }, via: 'signal' });
  }

  #queueUpdate(action: Action, input: unknown): Promise<ResolutionAnswer> {
    const command = this.#counter.parse(action, input);
    const { firstExecutionRunId } = workflowInfo();
    const commandId = command.commandId ?? `${firstExecutionRunId}/${currentUpdateInfo()?.id ?? ''}`;
    return new Promise((answer, fail) =>
      this.#push({ command: { ...command, commandId }, via: 'update', answer, fail }),
    );
  }

  #push(waiting: Omit<Waiting<Command>, 'size'>): void {
    this.#queue.push({ ...waiting, size: JSON.stringify(waiting.command).length });
  }

  #note({ action, actor }: Command, { outcome, message }: ResolutionAnswer): void {
    this.lines.push({ at: new Date().toISOString(), action, actor: actor ?? null, outcome, message });
    if (this.lines.length > shownLines) this.lines.shift();
  }
}
