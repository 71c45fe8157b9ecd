import { printable } from '../../core/printable.ts';
import type { Output } from '../output.ts';
import { table } from '../table.ts';
import { checkDatabase } from '../doctor/database.ts';
import { judge, nodeVersions } from '../../core/supported.ts';
import { exitCodeOf, ok, warn, type Finding } from '../doctor/finding.ts';
import { checkTemporal } from '../doctor/temporal.ts';
import { databaseUrl } from '../database.ts';

export interface DoctorOptions {
  readonly config?: string;
  readonly adopt?: boolean;
  readonly restored?: boolean;
  /** Milliseconds. */
  readonly transactionAge: number;
}

function judgedNode(version: string): Finding {
  const { oldest, newest } = nodeVersions;
  const verdict = judge(Number.parseInt(version, 10), nodeVersions);
  if (verdict === 'tried') return ok('Node', version);
  return warn(
    'Node',
    `${version}: ${oldest} to ${newest} are tried`,
    `Run it under Node ${newest}, which is recommended.`,
  );
}

/** `doctor`: looks at everything, goes on after what fails. Answers the exit code. */
export async function doctor(out: Output, options: DoctorOptions): Promise<0 | 1 | 3> {
  const url = databaseUrl();
  const { findings: database, settings } = await checkDatabase(url, options, out);
  const temporal = await checkTemporal(out, url, settings, {
    adopt: options.adopt === true,
    restored: options.restored === true,
  });
  const findings = [...database, ...temporal, judgedNode(process.versions.node)];
  const exitCode = exitCodeOf(findings);
  out.result({ ok: exitCode === 0, checks: findings }, (colours) => {
    const marks = { ok: colours.green('ok'), warn: colours.yellow('warn'), fail: colours.red('FAIL') };
    const columns = [
      { title: '', value: ({ level }: Finding) => marks[level] },
      { title: 'CHECK', value: ({ check }: Finding) => check },
      { title: 'FOUND', value: ({ found }: Finding) => found },
    ];
    const hints = findings.flatMap(({ hint, check }) =>
      hint === null ? [] : [`${colours.bold(check)}: ${printable(hint)}\n`],
    );
    return table(columns, findings, colours) + (hints.length === 0 ? '' : `\n${hints.join('')}`);
  });
  return exitCode;
}
