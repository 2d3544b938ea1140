// What stands in the place of a page that is not there, broke, or is on its way.
import { Link, useRouter, type ErrorComponentProps } from '@tanstack/react-router'
import { Compass } from 'lucide-react'
import { Button } from '@/ui/Button'
import { EmptyState, ErrorState, Skeleton } from '@/ui/places'
import { Page } from './Page'

export function NotFound() {
  return (
    <Page title="Not found">
      <EmptyState
        icon={<Compass aria-hidden />}
        title="There is no such page"
        actions={
          <Button asChild>
            <Link to="/runs">All runs</Link>
          </Button>
        }
      >
        The address may be old, or what it names was removed.
      </EmptyState>
    </Page>
  )
}

export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter()
  return (
    <Page title="Something went wrong">
      <ErrorState
        error={error}
        onRetry={() => {
          reset()
          void router.invalidate()
        }}
      />
    </Page>
  )
}

export function PagePending() {
  return (
    <div style={{ padding: '24px 32px', display: 'grid', gap: 16 }} role="status" aria-busy="true" aria-label="Loading">
      <Skeleton width={180} height={28} />
      <Skeleton height={320} />
    </div>
  )
}
