/** Names of attributes that both ends know. */

/** Headers that are no attributes, as JSON. */
export const otherHeaders = 'outbox-headers';
/** There where the body is bytes in base64. */
export const transferEncoding = 'content-transfer-encoding';
