/**
 * temporal-outbox/destination: what a destination type of your own is made of. `docs/destination-types.md` shows one from its keys
 * to its tests; `temporal-outbox/testing` has the suite that holds it to what ours are held to.
 */
import type { DestinationType } from './type.ts';

export type { SecretSource } from '../core/secrets.ts';
export type { DestinationType, ExplainContext, Explanation, Inspection, Services, TypeLog } from './type.ts';
export type { DestinationConfig, DeliveryPolicy } from '../core/destination.ts';
export type { OutgoingMessage, Sender, SendOutcome, SentRequest } from '../core/outcome.ts';
export type { Environment } from '../core/secrets.ts';
export { resolveSecret, secretName } from '../core/secrets.ts';
export { messageId } from '../core/messageId.ts';
export type { Findings, KeyPath } from '../settings/findings.ts';
export type { Mapping } from '../settings/mapping.ts';
export type { RuleContext } from '../settings/ruleContext.ts';
export type { Row } from '../settings/printedRows.ts';
export {
  decimal,
  duration,
  flag,
  list,
  oneOf,
  secret,
  section,
  text,
  whole,
  type InputOf,
  type Keys,
} from '../settings/shapes.ts';
export { ms, written } from '../settings/durations.ts';
export { checkSecret } from '../settings/values.ts';
export { secretsOf, shownAddress } from './shared/plainAddress.ts';
export { checkServerAddress, explainedAddress, readServerAddress } from './shared/serverAddress.ts';
export { Connections, type Lease } from './shared/connections.ts';
export { filled, refused, requireSize, SendFailure, unreachable } from './shared/failures.ts';
export {
  pipelinedSender,
  unusableSender,
  type PipelineOptions,
  type Publisher,
} from './shared/pipelinedSender.ts';
export { Template, type Filled } from './shared/template.ts';
export { loadClient, type Client } from './shared/clients.ts';
export {
  cloudEventAttributes,
  structuredBody,
  structuredContentType,
  type CloudEventsMode,
} from './shared/cloudEvents.ts';
export { messageHeaders, type MessageHeaderRules } from './shared/messageHeaders.ts';
export type { Share } from './shared/share.ts';
export { withOwnTypes } from './registry.ts';

/** The type itself, checked by TypeScript. */
export function defineDestinationType<Settings extends object>(
  type: DestinationType<Settings>,
): DestinationType<Settings> {
  return type;
}
