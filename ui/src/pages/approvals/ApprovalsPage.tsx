// Approvals.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function ApprovalsPage() {
  return (
    <Page title="Approvals">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
