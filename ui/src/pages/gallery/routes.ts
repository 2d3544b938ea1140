// `/_gallery`: every component in every state, to look at. In development builds only; the tests of looks and axe build with it.
import { createRoute, lazyRouteComponent } from '@tanstack/react-router'
import { shellRoute } from '@/app/root'

const wanted = import.meta.env.DEV || import.meta.env.VITE_GALLERY === '1'

export const galleryRoutes = wanted
  ? [
      createRoute({
        getParentRoute: () => shellRoute,
        path: '/_gallery',
        staticData: { crumb: 'Gallery' },
        component: lazyRouteComponent(() => import('./GalleryPage'), 'GalleryPage'),
      }),
    ]
  : []
