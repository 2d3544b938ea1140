import { Page } from '@/app/Page'
export function GalleryPage() {
  return <Page title="Gallery">…</Page>
}
