// Small words that several pages of pipelines share.
import { duration } from '@/lib/time'

export const percent = (share: number | null | undefined) =>
  share == null ? <span className="muted">–</span> : `${Math.round(share * 100)} %`
export const took = (ms: number | null | undefined) => (ms == null ? <span className="muted">–</span> : duration(ms))
