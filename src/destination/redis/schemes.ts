export const schemes = ['redis', 'rediss'];
