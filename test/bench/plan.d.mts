export function priceOf(actions: number, storage: number): { developer: number; business: number | null };
export function cloudTable(): string;
export function machineTable(): string;
