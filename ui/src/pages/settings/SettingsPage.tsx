// Settings.
import { Page } from '@/app/Page'
import { Card, EmptyState } from '@/ui/places'

export function SettingsPage() {
  return (
    <Page title="Settings">
      <Card flush>
        <EmptyState title="Not here yet">This page is being built.</EmptyState>
      </Card>
    </Page>
  )
}
