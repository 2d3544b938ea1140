// Lists that come in pages: how `useInfiniteQuery` goes on.

/** `null`, not `undefined`, for the first page: openapi-react-query would send `0` for it. */
export const byCursor = {
  pageParamName: 'cursor',
  initialPageParam: null as string | null,
  getNextPageParam: (last: { next_cursor?: string | null }) => last.next_cursor ?? undefined,
}
