// Lists that come in pages: how `useInfiniteQuery` goes on, and what a table takes of it.

/** `null`, not `undefined`, for the first page: openapi-react-query would send `0` for it. */
export const byCursor = {
  pageParamName: 'cursor',
  initialPageParam: null as string | null,
  getNextPageParam: (last: { next_cursor?: string | null }) => last.next_cursor ?? undefined,
}

interface Pages<Row> {
  data: { pages: readonly { items: readonly Row[] }[] } | undefined
  error: unknown
  refetch: () => unknown
  hasNextPage: boolean
  fetchNextPage: () => unknown
  isFetchingNextPage: boolean
}

/** A list as `Table` takes it: the rows that have come, what went wrong, and how to have more. */
export const asRows = <Row>(list: Pages<Row>) => ({
  rows: list.data?.pages.flatMap((page) => page.items),
  error: list.error,
  onRetry: () => void list.refetch(),
  more: list.hasNextPage ? { onMore: () => void list.fetchNextPage(), loading: list.isFetchingNextPage } : undefined,
})
