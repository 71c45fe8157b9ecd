/** The servers' own usual ports; free ones are taken where somebody has them. */
export const defaultPorts = { postgres: 5432, temporal: 7233, ui: 8233 } as const;
