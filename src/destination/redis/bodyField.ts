/** The field of the body in an entry of a stream. */
export const bodyField = 'payload';
