/** The section `dashboard`: its shape, what holds between its keys, and what they come to. */
import * as z from 'zod';
import { isLoopback } from '../core/api.ts';
import { dashboardDefaults, type DashboardConfig, type JwtConfig } from '../core/dashboard.ts';
import { listenExpected, listenPattern, parseListen, type ListenAddress } from '../core/listen.ts';
import type { Mapping } from '../settings/mapping.ts';
import type { RuleContext } from '../settings/ruleContext.ts';
import { flag, list, section, text } from '../settings/shapes.ts';

const listenExpectation = `expected ${listenExpected}`;
const urlExpectation = 'expected an http:// or https:// address without query, fragment and credentials';

const address = () =>
  z
    .string({ error: urlExpectation })
    .max(2048, { error: urlExpectation })
    .refine(isPlainUrl, { error: urlExpectation });

function isPlainUrl(written: string): boolean {
  if (!/^https?:\/\//.test(written) || !URL.canParse(written)) return false;
  const { search, hash, username, password } = new URL(written);
  return search + hash + username + password === '';
}

const name = (what: string) => text({ min: 1, max: 255 }, what);
const values = () =>
  list(name('a value of the claim'), { min: 1, max: 100 }, 'values of the claim').optional();

const jwtSchema = section({
  header: z
    .string({ error: 'expected the name of a request header' })
    .regex(/^[A-Za-z0-9-]{1,100}$/, { error: 'expected the name of a request header' })
    .optional()
    .describe('Which request header has it. Default authorization.'),
  jwks: address().describe("Where the issuer's public keys are."),
  issuer: name('an issuer').describe('What the claim iss has to be.'),
  audience: name('an audience').describe('What the claim aud has to have.'),
  nameClaim: name('a claim').optional().describe('Names the person. Default email.'),
  groupsClaim: name('a claim').optional().describe('What the lists are compared with. Default groups.'),
  viewer: values().describe('Who may look.'),
  operator: values().describe('Who may resolve letters and steer destinations.'),
  admin: values().describe('Who may see and revoke tokens besides.'),
  payloads: values().describe('Who may look at payloads, whatever else they may.'),
});

export const dashboardSchema = section({
  listen: z
    .string({ error: listenExpectation })
    .regex(listenPattern, { error: listenExpectation, abort: true })
    .refine((written) => parseListen(written) !== null, { error: listenExpectation })
    .optional()
    .describe('Default 127.0.0.1:8800.'),
  url: address().optional().describe('How people reach it, with the path that a proxy puts in front.'),
  title: text({ min: 1, max: 100 }, 'a short title')
    .optional()
    .describe('What the page calls this outbox. Default: name.'),
  production: flag().optional().describe('Marks the page. Default false.'),
  temporalUi: address().optional().describe('Where the Temporal UI is. Default: TEMPORAL_UI_URL.'),
  signIn: section({
    tokens: flag().optional().describe('By tokens of `temporal-outbox tokens make`. Default true.'),
    jwt: jwtSchema.optional().describe('By a JSON Web Token that a proxy adds to each request.'),
  })
    .optional()
    .describe('Without it only a loopback address may be listened at.'),
});

export type DashboardInput = z.infer<typeof dashboardSchema>;

export function checkDashboard(dashboard: Mapping, { findings }: RuleContext): void {
  const written = dashboard['listen'] ?? dashboardDefaults.listen;
  const listen = typeof written === 'string' ? parseListen(written) : null;
  if (listen === null || isLoopback(listen.host) || dashboard['signIn'] !== undefined) return;
  findings.problem(
    ['dashboard', 'listen'],
    'expected a loopback address such as 127.0.0.1, or signIn: anybody who reaches the port could resolve letters',
    'OUTBOX_DASHBOARD_UNPROTECTED',
  );
}

export function normaliseDashboard(input: DashboardInput): DashboardConfig {
  const { listen = dashboardDefaults.listen, signIn } = input;
  return {
    listen: parseListen(listen) as ListenAddress,
    url: input.url?.replace(/\/+$/, '') ?? null,
    title: input.title ?? null,
    production: input.production ?? false,
    temporalUi: input.temporalUi ?? null,
    signIn:
      signIn === undefined
        ? null
        : { tokens: signIn.tokens ?? true, jwt: signIn.jwt === undefined ? null : normaliseJwt(signIn.jwt) },
  };
}

function normaliseJwt(input: NonNullable<NonNullable<DashboardInput['signIn']>['jwt']>): JwtConfig {
  const { jwt } = dashboardDefaults;
  const { jwks, issuer, audience, viewer = [], operator = [], admin = [], payloads = [] } = input;
  return {
    header: (input.header ?? jwt.header).toLowerCase(),
    nameClaim: input.nameClaim ?? jwt.nameClaim,
    groupsClaim: input.groupsClaim ?? jwt.groupsClaim,
    ...{ jwks, issuer, audience, viewer, operator, admin, payloads },
  };
}
