// What was changed, by whom, and from where. For administrators.
import { getRouteApi } from '@tanstack/react-router'
import { ScrollText } from 'lucide-react'
import { useState } from 'react'
import { $api } from '@/api/client'
import { asRows, byCursor } from '@/api/pages'
import type { components } from '@/api/schema'
import { Button } from '@/ui/Button'
import { CopyButton } from '@/ui/CopyButton'
import { Input } from '@/ui/inputs'
import { Drawer } from '@/ui/overlays'
import { Card, EmptyState, Fact, Facts } from '@/ui/places'
import { Table } from '@/ui/Table'
import { Time } from '@/ui/Time'
import { absolute } from '@/lib/time'
import { Frame } from './Frame'
import css from './settings.module.css'

type AuditRow = components['schemas']['AuditRow']

const route = getRouteApi('/shell/settings/audit')

function Filters() {
  const search = route.useSearch()
  const navigate = route.useNavigate()
  const [fields, setFields] = useState({ actor: search.actor ?? '', action: search.action ?? '', target: search.target ?? '' })
  const field = (name: keyof typeof fields, label: string, placeholder: string) => (
    <Input
      aria-label={label}
      placeholder={placeholder}
      value={fields[name]}
      spellCheck={false}
      onChange={(event) => setFields((before) => ({ ...before, [name]: event.target.value }))}
    />
  )
  return (
    <form
      className={css.filters}
      onSubmit={(event) => {
        event.preventDefault()
        const given = Object.entries(fields).filter(([, value]) => value.trim() !== '')
        void navigate({ search: Object.fromEntries(given.map(([name, value]) => [name, value.trim()])), replace: true })
      }}
    >
      {field('actor', 'By whom', 'By whom')}
      {field('action', 'What', 'What: plugin.install, or plugin.')}
      {field('target', 'To what', 'To what')}
      <Button type="submit">Filter</Button>
    </form>
  )
}

function Detail({ row }: { row: AuditRow }) {
  return (
    <div className={css.stack}>
      <Facts>
        <Fact name="When">{absolute(row.at_ms)}</Fact>
        <Fact name="Who">
          {row.actor}
          {row.via !== '' && <span className="muted"> with {row.via}</span>}
        </Fact>
        <Fact name="What">
          <code>{row.action}</code>
        </Fact>
        <Fact name="To what">
          <code>{row.target}</code>
        </Fact>
        {row.address != null && (
          <Fact name="From">
            <code>{row.address}</code>
          </Fact>
        )}
        {row.request_id != null && (
          <Fact name="Request">
            <span className={css.cellActions}>
              <code>{row.request_id}</code> <CopyButton text={row.request_id} label="Copy the request's id" />
            </span>
          </Fact>
        )}
      </Facts>
      <pre className={css.json}>
        <code>{JSON.stringify(row.detail, null, 2)}</code>
      </pre>
    </div>
  )
}

function List() {
  const search = route.useSearch()
  const [shown, setShown] = useState<AuditRow>()
  const changes = $api.useInfiniteQuery('get', '/api/v1/audit', { params: { query: search } }, byCursor)
  const filtered = Object.keys(search).length > 0
  return (
    <Card flush>
      <Filters key={JSON.stringify(search)} />
      <Table<AuditRow>
        label="Changes"
        {...asRows(changes)}
        rowKey={(row) => String(row.id)}
        empty={
          <EmptyState icon={<ScrollText aria-hidden />} title={filtered ? 'Nothing matches' : 'Nothing was changed yet'}>
            {filtered ? 'Take a filter off, or write less into it.' : 'Every change by a person or a key is written here.'}
          </EmptyState>
        }
        columns={[
          { key: 'at', name: 'When', width: 110, stacked: 'When', cell: (row) => <Time at={row.at_ms} /> },
          {
            key: 'who',
            name: 'Who',
            stacked: 'Who',
            cell: (row) => (
              <span className={css.rowName}>
                {row.actor}
                {row.via.startsWith('key:') && <span className={css.small}>{row.via}</span>}
              </span>
            ),
          },
          { key: 'what', name: 'What', stacked: 'What', cell: (row) => <code>{row.action}</code> },
          { key: 'target', name: 'To what', stacked: 'To what', cell: (row) => <span className={css.mono}>{row.target}</span> },
          {
            key: 'from',
            name: 'From',
            stacked: 'From',
            cell: (row) =>
              row.address == null ? <span className="muted">–</span> : <span className={css.mono}>{row.address}</span>,
          },
          {
            key: 'more',
            name: <span className="visually-hidden">Details</span>,
            end: true,
            cell: (row) => (
              <Button
                size="small"
                kind="ghost"
                onClick={() => setShown(row)}
                aria-label={`Details of ${row.action} ${row.target}`}
              >
                Details
              </Button>
            ),
          },
        ]}
      />
      <Drawer
        open={shown !== undefined}
        onOpenChange={(open) => !open && setShown(undefined)}
        title={shown?.action ?? ''}
        description={shown?.target ?? ''}
      >
        {shown && <Detail row={shown} />}
      </Drawer>
    </Card>
  )
}

export function AuditPage() {
  return (
    <Frame title="Audit log" needs="admin" subtitle="Every change, the newest first. It is kept as it was written.">
      <List />
    </Frame>
  )
}
