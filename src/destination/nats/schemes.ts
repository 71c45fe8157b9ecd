export const schemes = ['nats', 'tls'];
