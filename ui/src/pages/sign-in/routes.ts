// The sign-in page: outside the shell, because nobody is signed in.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { rootRoute } from '@/app/root'
import { placeOfOurs } from '@/app/place'

export const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: (search: Record<string, unknown>): { to?: string } =>
    search['to'] === undefined ? {} : { to: placeOfOurs(search['to']) },
  component: lazyRouteComponent(() => import('./SignInPage'), 'SignInPage'),
})
