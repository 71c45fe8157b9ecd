export const schemes = ['amqp', 'amqps'];
