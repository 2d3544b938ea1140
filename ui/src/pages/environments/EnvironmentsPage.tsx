// Environments.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function EnvironmentsPage() {
  return (
    <Page title="Environments">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
