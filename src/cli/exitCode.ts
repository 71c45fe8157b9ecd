/** Told the exit code of a command that ended in order but not in full. */
export type SetExitCode = (code: 0 | 1 | 2 | 3) => void;
