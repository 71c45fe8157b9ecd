export function hinder(pid: number, share: number): () => void;
