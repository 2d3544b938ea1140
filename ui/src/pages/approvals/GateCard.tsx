// A gate: what is asked, who may say so, who did, how long there is. The same card on the approvals page and in a run.
import { Link } from '@tanstack/react-router'
import { Check, Clock, MessageSquare, X } from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import { refresh } from '@/api/refresh'
import { short, type GateRow } from '@/pages/runs/model'
import { Badge, Button, Card, CliTwin, ErrorState, Fact, Facts, Field, Input, StatusBadge, Textarea, Time, toast } from '@/ui'
import css from '@/pages/runs/runs.module.css'

const MOST_COMMENT = 1_000 // characters; the server's limit

/** A reason of the server as a sentence of its own. */
const sentence = (words: string) => `${words.charAt(0).toUpperCase()}${words.slice(1).replace(/\.$/, '')}.`

export function GateCard({ gate, withRun }: { gate: GateRow; withRun?: boolean }) {
  const [comment, setComment] = useState('')
  const [answer, setAnswer] = useState('')
  const vote = $api.useMutation('post', '/api/v1/gates/{run}/{step}', {
    onSuccess: async () => {
      toast.ok('It is recorded', `${gate.step} of ${gate.workflow}`)
      await refresh('/api/v1/gates', '/api/v1/runs')
    },
  })
  const decide = (decision: 'approve' | 'reject' | 'answer') =>
    vote.mutate({
      params: { path: { run: gate.run, step: gate.step } },
      body: { decision, ...(decision === 'answer' && { answer }), ...(comment.trim() !== '' && { comment: comment.trim() }) },
    })
  const approvals = gate.votes.filter((each) => each.vote === 'approve').length
  const question = gate.kind === 'question'
  const scheduled = gate.kind === 'scheduled'
  const commands = question
    ? [`windlass answer ${gate.run} ${gate.step} "…"`]
    : [`windlass approve ${gate.run} ${gate.step}`, `windlass reject ${gate.run} ${gate.step}`]
  return (
    <Card
      title={
        <span className={css.head}>
          <StatusBadge status="blocked" iconOnly />
          {withRun ? (
            <>
              <Link to="/runs/$run" params={{ run: gate.run }} hash={encodeURIComponent(gate.step)}>
                {gate.workflow}
              </Link>
              <span className="muted">{gate.step}</span>
            </>
          ) : (
            gate.step
          )}
        </span>
      }
      actions={
        <>
          <span className="muted" style={{ fontSize: 13 }}>
            opened <Time at={gate.opened_ms} />
          </span>
          {!scheduled && <CliTwin command={commands} />}
        </>
      }
    >
      <div className={css.gate}>
        {gate.prompt != null && <p style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>{gate.prompt}</p>}
        <Facts>
          {withRun && (
            <Fact name="Run">
              <code>{short(gate.run)}</code>
            </Fact>
          )}
          {!scheduled && (
            <Fact name="May decide">
              {gate.approvers.length === 0 ? 'anybody who may run pipelines' : gate.approvers.join(', ')}
            </Fact>
          )}
          {!question && !scheduled && gate.quorum > 1 && (
            <Fact name="Approvals">
              {approvals} of {gate.quorum}
            </Fact>
          )}
          <Fact name={scheduled ? 'Goes on' : 'Open until'}>
            <span style={{ display: 'inline-flex', gap: 6, alignItems: 'center' }}>
              <Clock size={14} aria-hidden /> <Time at={scheduled ? gate.due_ms : gate.expires_ms} />
              {gate.otherwise != null && !scheduled && <span className="muted">then: {gate.otherwise}</span>}
            </span>
          </Fact>
        </Facts>
        {gate.votes.length > 0 && (
          <ul className={css.votes} aria-label="Votes">
            {gate.votes.map((each) => (
              <li key={`${each.by} ${each.at_ms}`}>
                <Badge tone={each.vote === 'approve' ? 'ok' : each.vote === 'reject' ? 'bad' : 'idle'}>{each.vote}</Badge>
                <strong>{each.by}</strong>
                {each.comment != null && <span>{each.comment}</span>}
                <span className="muted">
                  <Time at={each.at_ms} />
                </span>
              </li>
            ))}
          </ul>
        )}
        {vote.isError && <ErrorState error={vote.error} />}
        {!scheduled && (gate.may_decide || gate.may_reject) && (
          <>
            {question && (
              <Field label="Answer">
                <Textarea value={answer} onChange={(event) => setAnswer(event.target.value)} rows={3} />
              </Field>
            )}
            <Field label="Comment" help="For the record; it may be left empty.">
              <Input value={comment} maxLength={MOST_COMMENT} onChange={(event) => setComment(event.target.value)} />
            </Field>
            <div className={css.decide}>
              {question && (
                <Button
                  kind="primary"
                  icon={<MessageSquare aria-hidden />}
                  disabled={answer.trim() === ''}
                  busy={vote.isPending}
                  onClick={() => decide('answer')}
                >
                  Answer
                </Button>
              )}
              {!question && gate.may_decide && (
                <Button kind="primary" icon={<Check aria-hidden />} busy={vote.isPending} onClick={() => decide('approve')}>
                  Approve
                </Button>
              )}
              {gate.may_reject && (
                <Button kind="danger" icon={<X aria-hidden />} disabled={vote.isPending} onClick={() => decide('reject')}>
                  Reject
                </Button>
              )}
            </div>
          </>
        )}
        {!scheduled && !gate.may_decide && (
          <p className="muted" style={{ fontSize: 13 }}>
            {sentence(gate.why_not ?? 'you may not decide this')}
            {gate.may_reject && ' You may still reject it.'}
          </p>
        )}
      </div>
    </Card>
  )
}
