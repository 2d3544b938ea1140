// Runs.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function RunsPage() {
  return (
    <Page title="Runs">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
