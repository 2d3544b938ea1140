// The sign-in page: outside the shell, because nobody is signed in.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { rootRoute } from '@/app/root'
import { placeOfOurs } from '@/app/place'
import { defined } from '@/lib/defined'
import { asCode } from './refusals'

export const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { to?: string; error?: string } =>
    defined({ to: search['to'] === undefined ? undefined : placeOfOurs(search['to']), error: asCode(search['error']) }),
  component: lazyRouteComponent(() => import('./SignInPage'), 'SignInPage'),
})
