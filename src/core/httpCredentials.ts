/** How requests over HTTP are signed and by whom they say they are sent: of destinations and of check-backs. */
export interface SigningConfig {
  readonly scheme: 'standard-webhooks';
  /** `env:NAME` or a literal (a warning is given for literals). The first signs first; all sign, for rotation. */
  readonly secrets: readonly string[];
}

export type CredentialsConfig =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string };
