// Tables: columns with names, rows as data. Under 720 px each row becomes a stack of "name value" lines.
import { ArrowDown, ArrowUp, ChevronsUpDown } from 'lucide-react'
import type { ReactNode } from 'react'
import { cx } from '@/lib/cx'
import { Button } from './Button'
import { ErrorState, SkeletonRows } from './places'
import css from './ui.module.css'

export interface Column<Row> {
  key: string
  name: ReactNode
  /** The name in stacked rows; left out where the value speaks for itself. */
  stacked?: string
  cell: (row: Row) => ReactNode
  width?: number | string
  end?: boolean
  sortable?: boolean
}

export interface Sort {
  key: string
  down: boolean
}

export interface TableProps<Row> {
  label: string
  columns: readonly Column<Row>[]
  /** `undefined` while they load. */
  rows: readonly Row[] | undefined
  rowKey: (row: Row) => string
  sort?: Sort | undefined
  onSort?: (sort: Sort) => void
  error?: unknown
  onRetry?: () => void
  /** What stands there when there is no row. */
  empty?: ReactNode
  /** The next page. */
  more?: { onMore: () => void; loading: boolean } | undefined
  footnote?: ReactNode
  className?: string
}

export function Table<Row>(props: TableProps<Row>) {
  const { columns, rows, sort, onSort } = props
  if (props.error != null) {
    return (
      <div style={{ padding: 16 }}>
        <ErrorState error={props.error} onRetry={props.onRetry} />
      </div>
    )
  }
  if (rows?.length === 0 && props.empty !== undefined) return props.empty
  return (
    <>
      <div className={cx(css.tableWrap, props.className)} aria-busy={rows === undefined}>
        <table className={css.table} aria-label={props.label}>
          <thead>
            <tr>
              {columns.map((column) => {
                const sorted = sort?.key === column.key
                const Arrow = !sorted ? ChevronsUpDown : sort.down ? ArrowDown : ArrowUp
                return (
                  <th
                    key={column.key}
                    scope="col"
                    style={{ width: column.width }}
                    data-align={column.end ? 'end' : undefined}
                    aria-sort={sorted ? (sort.down ? 'descending' : 'ascending') : undefined}
                  >
                    {column.sortable && onSort ? (
                      <button
                        type="button"
                        className={css.sort}
                        onClick={() => onSort({ key: column.key, down: sorted ? !sort.down : false })}
                      >
                        {column.name}
                        <Arrow aria-hidden />
                      </button>
                    ) : (
                      column.name
                    )}
                  </th>
                )
              })}
            </tr>
          </thead>
          <tbody>
            {rows === undefined ? (
              <SkeletonRows columns={columns.length} />
            ) : (
              rows.map((row) => (
                <tr key={props.rowKey(row)} data-link>
                  {columns.map((column) => (
                    <td key={column.key} data-label={column.stacked} data-align={column.end ? 'end' : undefined}>
                      {column.cell(row)}
                    </td>
                  ))}
                </tr>
              ))
            )}
          </tbody>
        </table>
      </div>
      {(props.more !== undefined || props.footnote !== undefined) && rows !== undefined && (
        <div className={css.more}>
          {props.footnote}
          {props.more && (
            <Button size="small" busy={props.more.loading} onClick={props.more.onMore}>
              Load more
            </Button>
          )}
        </div>
      )}
    </>
  )
}
