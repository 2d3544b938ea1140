// Lists that are read page by page, for `$api.useInfiniteQuery`.

/**
 * How to go from page to page. The first one has no cursor: null is left out of the query, while `undefined` would become 0, since
 * openapi-react-query takes that as its default.
 */
export const byCursor = {
  initialPageParam: null,
  getNextPageParam: (last: { next_cursor?: string | null }) => last.next_cursor ?? undefined,
}
