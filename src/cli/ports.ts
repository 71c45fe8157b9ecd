/** Free ones are taken where somebody has these. */
export const dashboardPort = 8800;
/** The servers' own usual ports. */
export const defaultPorts = { postgres: 5432, temporal: 7233, ui: 8233 } as const;
