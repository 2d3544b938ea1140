// Marketplace.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function MarketplacePage() {
  return (
    <Page title="Marketplace">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
