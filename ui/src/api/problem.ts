// The one shape of errors: problem+json of the server, and everything else that can go wrong made into it.

/** RFC 9457, with what Windlass adds. */
export interface Problem {
  title: string
  /** The HTTP status; 0 where no answer came. */
  status: number
  detail?: string | undefined
  /** Stable, such as `WL0123`. */
  code?: string | undefined
  /** What to do next. */
  help?: string | undefined
  /** The request's id, for whoever reads the server's log. */
  requestId?: string | undefined
  /** Which input field is meant, where one is: a JSON pointer or a name. */
  field?: string | undefined
  errors?: FieldError[] | undefined
  /** What stands in the way, where that is a list. */
  blockers?: string[] | undefined
}

export interface FieldError {
  field: string
  message: string
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

const texts = (value: unknown): string[] | undefined =>
  Array.isArray(value) && value.length > 0 ? value.filter((each) => typeof each === 'string') : undefined

function fieldErrors(value: unknown): FieldError[] | undefined {
  if (!Array.isArray(value)) return undefined
  const errors = value.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return []
    const known = entry as Record<string, unknown>
    const message = text(known['message']) ?? text(known['detail'])
    return message ? [{ field: text(known['field']) ?? text(known['pointer']) ?? '', message }] : []
  })
  return errors.length > 0 ? errors : undefined
}

/** Whatever was thrown, as a problem that can be shown. Never throws itself. */
export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof ProblemError) return thrown.problem
  if (typeof thrown === 'object' && thrown !== null && !(thrown instanceof Error)) {
    const body = thrown as Record<string, unknown>
    const status = typeof body['status'] === 'number' ? body['status'] : 0
    const title = text(body['title'])
    if (title !== undefined || status !== 0) {
      return {
        title: title ?? 'The server refused this',
        status,
        detail: text(body['detail']),
        code: text(body['code']),
        help: text(body['help']),
        requestId: text(body['request_id']) ?? text(body['requestId']) ?? text(body['instance']),
        field: text(body['field']),
        errors: fieldErrors(body['errors']),
        blockers: texts(body['blockers']),
      }
    }
  }
  if (thrown instanceof TypeError) {
    return {
      title: 'The server does not answer',
      status: 0,
      detail: 'The request did not reach it, or its answer did not come back.',
      help: 'Look whether `windlass server` runs and whether you are online, then try again.',
    }
  }
  if (thrown instanceof Error) return { title: 'Something went wrong in this page', status: 0, detail: thrown.message }
  return { title: 'Something went wrong', status: 0, detail: text(thrown) }
}

/** A problem as something that can be thrown. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title)
  }
}

/** What is wrong with one field of a form that was sent, by its JSON pointer. */
export function fieldError(thrown: unknown, pointer: string): string | undefined {
  if (thrown === null || thrown === undefined) return undefined
  return toProblem(thrown).errors?.find((error) => error.field === pointer)?.message
}
