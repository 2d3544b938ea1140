// Everything that waits for a person, the longest wait first.
import { CheckCheck } from 'lucide-react'
import { $api } from '@/api/client'
import { Page } from '@/app/Page'
import { Card, CliTwin, EmptyState, ErrorState, Skeleton } from '@/ui'
import { GateCard } from './GateCard'
import css from '@/pages/runs/runs.module.css'

export function ApprovalsPage() {
  const gates = $api.useQuery('get', '/api/v1/gates', {})
  const mine = gates.data?.filter((gate) => gate.may_decide) ?? []
  // One's own run among them may still be rejected, but that is not what it waits for.
  const others = gates.data?.filter((gate) => !gate.may_decide) ?? []
  return (
    <Page
      title="Approvals"
      subtitle="What waits for a person, the longest wait first."
      actions={<CliTwin command="windlass gates" />}
    >
      <div className={css.stack} style={{ maxWidth: 760 }}>
        {gates.isError && <ErrorState error={gates.error} onRetry={() => void gates.refetch()} />}
        {gates.isPending && (
          <>
            <Skeleton height={260} />
            <Skeleton height={260} />
          </>
        )}
        {gates.data?.length === 0 && (
          <Card flush>
            <EmptyState icon={<CheckCheck aria-hidden />} title="Nothing waits for anybody">
              When a run comes to a gate, it appears here, and the sidebar counts it.
            </EmptyState>
          </Card>
        )}
        {mine.map((gate) => (
          <GateCard key={`${gate.run} ${gate.step} ${gate.attempt}`} gate={gate} withRun />
        ))}
        {others.length > 0 && (
          <>
            <h2>For others to decide</h2>
            {others.map((gate) => (
              <GateCard key={`${gate.run} ${gate.step} ${gate.attempt}`} gate={gate} withRun />
            ))}
          </>
        )}
      </div>
    </Page>
  )
}
