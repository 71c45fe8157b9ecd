/** The rows of the suite, in the order in which they run, each a sentence of fact. */
export const rows = {
  acknowledged:
    'what is acknowledged is stored, under its own id, with its body, its key and its headers as they were',
  refused: 'what the server refuses is refused in words, and what follows it arrives',
  unroutable: 'what nobody would get is refused for good, and is not taken for stored',
  'too-large': 'what is too large is refused for good and says the limit, and what follows it arrives',
  'missing-topic': 'a topic that is not there is the destination’s fault, said in words, and is not made',
  'wrong-topic': 'a topic of another kind is the destination’s fault, said in words',
  'wrong-credentials': 'a wrong login is the destination’s fault, and no message shows the password',
  unreachable: 'a server that cannot be reached costs no attempt, and the same sender finds it again',
  slow: 'a slow server is waited for, and after the deadline the attempt is unreachable and says so',
  blocked: 'a server that takes nothing for a while costs no attempt, and takes messages afterwards',
  'killed-in-a-batch':
    'a server killed with -9 in the middle of a batch has lost nothing that it acknowledged, and the rest arrives afterwards',
  'killed-after-acknowledging': 'a server killed with -9 right after its acknowledgement has lost nothing',
  'cut-before-the-confirm':
    'a connection cut before the confirm costs no attempt, and the repeat has the same id',
  'cut-after-the-confirm': 'a connection cut after the confirm loses nothing and repeats nothing',
  order: 'deliveries of one key stay in order through reconnects',
  repeats: 'a repeat has the id of what it repeats, and an edited event has another',
  'beyond-the-window': 'a repeat beyond the server’s own window is taken, under the same id',
  connections: 'fifty topics are one connection, closed with the last of their senders',
  'hot-key': 'a thousand messages of one key arrive, and so do those of other keys beside them',
  'non-ascii': 'types, keys and payloads beyond ASCII arrive as they are',
  'non-ascii-headers': 'values of headers beyond ASCII arrive as they are',
  'empty-payload': 'an empty payload arrives, empty',
  bytes: 'a payload of bytes arrives as it is, whatever they are',
  'one-mebibyte': 'a payload of 1 MiB arrives whole',
  tls: 'over TLS it trusts the authority it is given, and no other server',
  'mutual-tls': 'over TLS it shows the certificate it is given, and without one it is not let in',
  stopping: 'a sender that is closed waits for what is under way, takes no more, and leaves no connection',
  circuit:
    'through a whole outbox: an outage opens the circuit and spends no attempts, and everything arrives once it is over, each key in order',
} as const;

export type RowName = keyof typeof rows;

export const rowNames = Object.keys(rows) as RowName[];
