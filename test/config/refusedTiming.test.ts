import { withLines } from './fixtures.ts';
import { describeRefusals, invalid, type Row } from './refusals.ts';

const retry = (text: string) => withLines(`retry: { ${text} }`);
const routes = (text: string) => withLines().replace(/ {2}- \{ match[^\n]*/, text);
const inRetry = 'destinations.billing.retry';
const attempts = 'whole number from 1 to 10000';
const aDuration = 'a duration such as';

const circuit = (text: string) => withLines(`circuit: { ${text} }`);
const inCircuit = 'destinations.billing.circuit';

const circuits: Row[] = [
  ['a rate of 0', circuit('failureRate: 0'), invalid, 5, `${inCircuit}.failureRate`, 'from 0.01 to 1'],
  ['a rate in percent', circuit('failureRate: 50'), invalid, 5, `${inCircuit}.failureRate`, 'found 50'],
  ['no requests', circuit('minimumRequests: 0'), invalid, 5, `${inCircuit}.minimumRequests`, 'from 1 to'],
  ['a bare window', circuit('window: 30'), invalid, 5, `${inCircuit}.window`, aDuration],
  [
    'none in a row',
    circuit('unreachableInARow: 0'),
    invalid,
    5,
    `${inCircuit}.unreachableInARow`,
    'from 1 to',
  ],
  ['a hasty probe', circuit('probeAfter: 1ms'), invalid, 5, `${inCircuit}.probeAfter`, 'from 100ms'],
  [
    'a first probe after the longest interval',
    circuit('probeAfter: 10m'),
    invalid,
    5,
    `${inCircuit}.probeAfter`,
    'at most maximumProbeInterval (5m, the default)',
  ],
  ['a probe by post', circuit("probeUrl: 'mailto:a@b.c'"), invalid, 5, `${inCircuit}.probeUrl`, 'http:// or'],
  [
    'a probe of cloud metadata',
    circuit("probeUrl: 'http://169.254.169.254/'"),
    invalid,
    5,
    `${inCircuit}.probeUrl`,
    'never are',
  ],
  [
    'a mistyped key',
    circuit('probeafter: 5s'),
    invalid,
    5,
    `${inCircuit}.probeafter`,
    'did you mean probeAfter',
  ],
  [
    'a circuit switched by a word',
    circuit('enabled: maybe'),
    invalid,
    5,
    `${inCircuit}.enabled`,
    'true or false',
  ],
];

const retries: Row[] = [
  ['maximumAttempts 0', retry('maximumAttempts: 0'), invalid, 5, `${inRetry}.maximumAttempts`, attempts],
  ['maximumAttempts -1', retry('maximumAttempts: -1'), invalid, 5, `${inRetry}.maximumAttempts`, 'found -1'],
  [
    'maximumAttempts 1.5',
    retry('maximumAttempts: 1.5'),
    invalid,
    5,
    `${inRetry}.maximumAttempts`,
    'found 1.5',
  ],
  ['maximumAttempts 1e9', retry('maximumAttempts: 1e9'), invalid, 5, `${inRetry}.maximumAttempts`, attempts],
  [
    'maximumAttempts .nan',
    retry('maximumAttempts: .nan'),
    invalid,
    5,
    `${inRetry}.maximumAttempts`,
    'found NaN',
  ],
  ['a duration without unit', withLines('timeout: 5'), invalid, 5, 'destinations.billing.timeout', aDuration],
  ['a quoted number', withLines('timeout: "5"'), invalid, 5, 'destinations.billing.timeout', aDuration],
  [
    'parsecs',
    withLines('timeout: 5 parsecs'),
    invalid,
    5,
    'destinations.billing.timeout',
    'found the text "5 parsecs"',
  ],
  ['a negative duration', withLines('timeout: -5s'), invalid, 5, 'destinations.billing.timeout', aDuration],
  ['no time at all', withLines('timeout: 0s'), invalid, 5, 'destinations.billing.timeout', 'from 1ms'],
  ['beyond a timer', retry('maximumInterval: 25d'), invalid, 5, `${inRetry}.maximumInterval`, 'Node timer'],
  [
    'beyond a timer in a schedule',
    retry('schedule: [1s, 90d]'),
    invalid,
    5,
    `${inRetry}.schedule[1]`,
    'Node timer',
  ],
  [
    'a budget of years',
    retry('scheduleToCloseTimeout: 1000d'),
    invalid,
    5,
    `${inRetry}.scheduleToCloseTimeout`,
    '365d',
  ],
  [
    'a coefficient below 1',
    retry('backoffCoefficient: 0.5'),
    invalid,
    5,
    `${inRetry}.backoffCoefficient`,
    'from 1 to 100',
  ],
  ['jitter above 1', retry('jitter: 20'), invalid, 5, `${inRetry}.jitter`, 'from 0 to 1'],
  [
    'maximum below initial',
    retry('initialInterval: 1m, maximumInterval: 5s'),
    invalid,
    5,
    `${inRetry}.maximumInterval`,
    'at most maximumInterval (5s)',
  ],
  [
    'initial above the default maximum',
    retry('initialInterval: 2h'),
    invalid,
    5,
    `${inRetry}.initialInterval`,
    '1h, the default',
  ],
  [
    'timeout above the budget',
    withLines('timeout: 2h', 'retry: { scheduleToCloseTimeout: 1h }'),
    invalid,
    5,
    'destinations.billing.timeout',
    'at most retry.scheduleToCloseTimeout',
  ],
  [
    'the default timeout above the budget',
    retry('scheduleToCloseTimeout: 10s'),
    invalid,
    5,
    `${inRetry}.scheduleToCloseTimeout`,
    '15s, the default',
  ],
  ['an empty schedule', retry('schedule: []'), invalid, 5, `${inRetry}.schedule`, 'a list of 1 to 100'],
  [
    'schedule and coefficient',
    retry('schedule: [5s], backoffCoefficient: 2'),
    invalid,
    5,
    `${inRetry}.backoffCoefficient`,
    'beside schedule',
  ],
  [
    'a status that acknowledges',
    retry('nonRetryableStatusCodes: [200]'),
    invalid,
    5,
    `${inRetry}.nonRetryableStatusCodes[0]`,
    '300 to 599',
  ],
];

const routing: Row[] = [
  [
    'an unknown destination',
    routes('  - { match: a, to: [biling] }'),
    invalid,
    6,
    'routes[0].to[0]',
    'did you mean billing?',
  ],
  [
    'a destination twice',
    routes('  - { match: a, to: [billing, billing] }'),
    invalid,
    6,
    'routes[0].to[1]',
    'once',
  ],
  ['no destination', routes('  - { match: a, to: [] }'), invalid, 6, 'routes[0].to', 'destination names'],
  [
    'a name in place of a list',
    routes('  - { match: a, to: billing }'),
    invalid,
    6,
    'routes[0].to',
    'such as [billing]',
  ],
  ['no pattern', routes('  - { to: [billing] }'), invalid, 6, 'routes[0].match', 'it is missing'],
  ['an empty pattern', routes('  - { match: "", to: [billing] }'), invalid, 6, 'routes[0].match', 'pattern'],
  [
    'an empty filter',
    routes('  - { match: a, where: "", to: [billing] }'),
    invalid,
    6,
    'routes[0].where',
    'a jsonpath',
  ],
  [
    'NUL in a filter',
    routes('  - { match: a, where: "$.\\0", to: [billing] }'),
    invalid,
    6,
    'routes[0].where',
    'control',
  ],
  ['routes as a mapping', routes('  a: billing'), invalid, 6, 'routes', 'a list'],
];

const rate = (limit: string, per: string) => withLines(`rateLimit: { limit: ${limit}, per: ${per} }`);
const limits: Row[] = [
  ['a rate of none', rate('0', '1s'), invalid, 5, 'destinations.billing.rateLimit.limit', '1 to 1000000'],
  ['half a request', rate('0.5', '1s'), invalid, 5, 'destinations.billing.rateLimit.limit', 'whole number'],
  [
    'a rate per instant',
    rate('5', '1ms'),
    invalid,
    5,
    'destinations.billing.rateLimit.per',
    'from 100ms to 1d',
  ],
  ['a rate per number', rate('5', '1'), invalid, 5, 'destinations.billing.rateLimit.per', 'a duration'],
  [
    'a rate in no time',
    withLines('rateLimit: { limit: 5 }'),
    invalid,
    5,
    'destinations.billing.rateLimit.per',
    'a duration',
  ],
  ['a rate as text', withLines('rateLimit: 5/s'), invalid, 5, 'destinations.billing.rateLimit', 'limit'],
  [
    'an unknown onPark',
    withLines('onPark: pass'),
    invalid,
    5,
    'destinations.billing.onPark',
    'block or skip',
  ],
];

describeRefusals('retry and timeouts', retries);
describeRefusals('circuits', circuits);
describeRefusals('routes', routing);
describeRefusals('limits and order', limits);
