export const schemes = ['https', 'http'];
