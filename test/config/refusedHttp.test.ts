import { withLines } from './fixtures.ts';
import { describeRefusals, invalid, secretMissing, type Row } from './refusals.ts';

const url = (address: string) => withLines().replace('http://billing.test/', address);
const header = (name: string, value = 'x') => withLines(`headers: { ${name}: ${value} }`);
const signing = (secret: string) => withLines(`signing: { scheme: standard-webhooks, secrets: [${secret}] }`);
const atUrl = 'destinations.billing.url';
const atHeaders = 'destinations.billing.headers';
const atSecret = 'destinations.billing.signing.secrets[0]';

const addresses: Row[] = [
  ['file:', url('file:///etc/passwd'), invalid, 4, atUrl, 'found the scheme file:'],
  ['data:', url('data:text/plain,x'), invalid, 4, atUrl, 'found the scheme data:'],
  ['javascript:', url('javascript:alert(1)'), invalid, 4, atUrl, 'http:// or https://'],
  ['no scheme', url('billing.test/x'), invalid, 4, atUrl, 'http:// or https://'],
  ['no host', url('http://'), invalid, 4, atUrl, 'a host'],
  ['no host but a path', url('http:///x'), invalid, 4, atUrl, 'a host'],
  ['a port out of range', url('http://a.test:99999/'), invalid, 4, atUrl, 'a host'],
  ['spaces', url('"http://a.test/a b"'), invalid, 4, atUrl, 'without spaces'],
  ['a line break', url('"http://a.test/\\nb"'), invalid, 4, atUrl, 'without spaces'],
  ['a fragment', url('http://a.test/#x'), invalid, 4, atUrl, '#fragment'],
  ['link-local', url('http://169.254.1.1/'), invalid, 4, atUrl, 'never are'],
  ['metadata, in decimal', url('http://2852039166/'), invalid, 4, atUrl, 'never are'],
  ['metadata, mapped', url('http://[::ffff:169.254.169.254]/'), invalid, 4, atUrl, 'never are'],
  ['metadata, by name', url('http://metadata.google.internal/'), invalid, 4, atUrl, 'never are'],
  ['metadata, from the environment', url('${METADATA}'), invalid, 4, atUrl, 'after filling in'],
  ['unspecified', url('http://0.0.0.0/'), invalid, 4, atUrl, 'never are'],
  ['a missing variable', url('${NOWHERE}/x'), invalid, 4, atUrl, 'variable NOWHERE is missing or empty'],
  ['an empty variable', url('${EMPTY}'), invalid, 4, atUrl, 'variable EMPTY is missing or empty'],
  ['a default in a variable', url('"${A:-http://a.test}"'), invalid, 4, atUrl, 'expected ${NAME}'],
  [
    'private where that is switched off',
    url('http://10.0.0.1/').replace('routes:', '    network: { allowPrivate: false }\nroutes:'),
    invalid,
    4,
    atUrl,
    'public address',
  ],
  ['an inherited name', url('${constructor}'), invalid, 4, atUrl, 'variable constructor is missing'],
];

const headers: Row[] = [
  [
    'a CloudEvents attribute that is set already',
    withLines('cloudEvents: binary', 'headers: { ce-id: x }'),
    invalid,
    6,
    `${atHeaders}.ce-id`,
    'cannot be replaced',
  ],
  ['a space in a name', header('"a b"'), invalid, 5, `${atHeaders}["a b"]`, 'a header name'],
  ['a colon in a name', header('"a:"'), invalid, 5, `${atHeaders}["a:"]`, 'a header name'],
  ['an empty name', header('""'), invalid, 5, `${atHeaders}[""]`, 'a header name'],
  ['CR LF in a value', header('x-a', '"a\\r\\nHost: b"'), invalid, 5, `${atHeaders}.x-a`, 'one line'],
  ['NUL in a value', header('x-a', '"\\0"'), invalid, 5, `${atHeaders}.x-a`, 'one line'],
  [
    'a line break from the environment',
    header('x-a', 'env:LINES'),
    invalid,
    5,
    `${atHeaders}.x-a`,
    'one line',
  ],
  ['an emoji', header('x-a', '🙂'), invalid, 5, `${atHeaders}.x-a`, 'Latin-1'],
  ['a number', header('x-a', '5'), invalid, 5, `${atHeaders}.x-a`, 'need quotes'],
  ['the same name twice', header('x-a: "1", "X-A"', '"2"'), invalid, 5, `${atHeaders}.X-A`, 'written twice'],
  ['a placeholder', header('x-a', '"${TEAM}"'), invalid, 5, `${atHeaders}.x-a`, 'only in url'],
  ['a missing variable', header('x-a', 'env:NOWHERE'), secretMissing, 5, `${atHeaders}.x-a`, 'NOWHERE'],
  ...[
    ...['Host', 'content-length', 'Transfer-Encoding', 'Connection', 'Idempotency-Key', 'traceparent'],
    ...['webhook-signature', 'Webhook-Id', 'outbox-attempt'],
  ].map((name): Row => [name, header(name), invalid, 5, `${atHeaders}.${name}`, 'cannot be replaced']),
];

const secrets: Row[] = [
  ['a missing variable', signing('env:NOWHERE'), secretMissing, 5, atSecret, 'variable NOWHERE'],
  ['an empty variable', signing('env:EMPTY'), secretMissing, 5, atSecret, 'variable EMPTY'],
  ['a malformed reference', signing('"env:A B"'), invalid, 5, atSecret, 'expected env:NAME'],
  ['too short', signing('env:SHORT'), invalid, 5, atSecret, '5 bytes (environment variable SHORT)'],
  ['not a signing secret', signing('env:BILLING_URL'), invalid, 5, atSecret, 'whsec_'],
  [
    'no secret',
    withLines('signing: { scheme: standard-webhooks, secrets: [] }'),
    invalid,
    5,
    'destinations.billing.signing.secrets',
    '1 to 5 secrets',
  ],
  ['an empty secret', signing('""'), invalid, 5, atSecret, 'expected env:NAME'],
  [
    'an unknown scheme',
    signing('env:BILLING_SECRET').replace('standard-webhooks', 'hmac'),
    invalid,
    5,
    'destinations.billing.signing.scheme',
    'standard-webhooks',
  ],
  [
    'two logins',
    withLines('auth: { bearer: env:BILLING_SECRET, basic: { username: a, password: env:BILLING_SECRET } }'),
    invalid,
    5,
    'destinations.billing.auth',
    'exactly one',
  ],
  ['no login', withLines('auth: {}'), invalid, 5, 'destinations.billing.auth', 'exactly one'],
  [
    'a login and its header',
    withLines('auth: { bearer: env:BILLING_SECRET }', 'headers: { Authorization: env:BILLING_SECRET }'),
    invalid,
    6,
    `${atHeaders}.Authorization`,
    'not both',
  ],
  [
    'a colon in a user name',
    withLines('auth: { basic: { username: "a:b", password: env:BILLING_SECRET } }'),
    invalid,
    5,
    'destinations.billing.auth.basic.username',
    'without a colon',
  ],
  [
    'a missing token',
    withLines('auth: { bearer: env:NOWHERE }'),
    secretMissing,
    5,
    'destinations.billing.auth.bearer',
    'NOWHERE',
  ],
];

describeRefusals('addresses', addresses);
describeRefusals('headers', headers);
describeRefusals('secrets', secrets);
