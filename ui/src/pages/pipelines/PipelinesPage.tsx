// Pipelines.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function PipelinesPage() {
  return (
    <Page title="Pipelines">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
