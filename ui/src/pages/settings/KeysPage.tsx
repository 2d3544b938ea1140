// Everybody's keys.
import { Frame } from './Frame'
import { Keys } from './Keys'

export function KeysPage() {
  return (
    <Frame
      title="API keys"
      needs="admin"
      subtitle="Everybody's keys. What a key may is at most what its owner may, at the moment it is used."
    >
      <Keys all title="All keys" />
    </Frame>
  )
}
