import type { Role } from '../core/dashboard.ts';

/** Who asks, and what that one may. */
export interface Who {
  /** For the audit. */
  readonly name: string;
  readonly role: Role;
  readonly payloads: boolean;
  /** How it is known: nobody signs in on this machine; a token of ours; a JSON Web Token of a proxy; an OpenID provider. */
  readonly by: 'machine' | 'token' | 'jwt' | 'oidc';
}

/** What an endpoint asks for. */
export type Need = 'look' | 'payloads' | 'act' | 'admin';

/** Null: that one may. Otherwise why not, to be shown beside a greyed button. */
export function whyNot({ role, payloads }: Who, need: Need): string | null {
  switch (need) {
    case 'look':
      return null;
    case 'payloads':
      return payloads ? null : 'you may not look at payloads: it takes the permission payloads';
    case 'act':
      return role === 'viewer' ? 'a viewer only looks: it takes the role operator or admin' : null;
    case 'admin':
      return role === 'admin' ? null : `it takes the role admin; you are ${role}`;
  }
}
