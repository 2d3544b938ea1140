// How high rows are, of which most are one line. Only those that are not are kept.

export class Heights {
  /** Row and how much higher than `usual` it is, in order of rows. */
  private extra: { row: number; by: number; before: number }[] = []

  constructor(private readonly usual: number) {}

  clear() {
    this.extra = []
  }

  /** The first kept row that is not before `row`. */
  private find(row: number): number {
    let low = 0
    let high = this.extra.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.extra[middle]?.row ?? 0) < row) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Says whether that was news. */
  set(row: number, height: number): boolean {
    const by = Math.max(0, height - this.usual)
    const at = this.find(row)
    const known = this.extra[at]?.row === row ? this.extra[at] : undefined
    if ((known?.by ?? 0) === by) return false
    if (by === 0) this.extra.splice(at, 1)
    else if (known) known.by = by
    else this.extra.splice(at, 0, { row, by, before: 0 })
    let before = at === 0 ? 0 : (this.extra[at - 1]?.before ?? 0) + (this.extra[at - 1]?.by ?? 0)
    for (const each of this.extra.slice(at)) {
      each.before = before
      before += each.by
    }
    return true
  }

  top(row: number): number {
    const last = this.extra[this.find(row) - 1]
    return row * this.usual + (last ? last.before + last.by : 0)
  }

  total(rows: number): number {
    return this.top(rows)
  }

  /** The row at a height. */
  at(y: number): number {
    let low = 0
    let high = this.extra.length
    while (low < high) {
      const middle = (low + high) >> 1
      const each = this.extra[middle]
      if (each && each.row * this.usual + each.before <= y) low = middle + 1
      else high = middle
    }
    const last = this.extra[low - 1]
    if (!last) return Math.floor(y / this.usual)
    const end = last.row * this.usual + last.before + this.usual + last.by
    return y < end ? last.row : last.row + 1 + Math.floor((y - end) / this.usual)
  }
}
