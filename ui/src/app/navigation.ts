// The pages that the sidebar, the palette and the keys lead to.
import { Blocks, CheckCheck, Play, Server, Settings, Workflow, type LucideIcon } from 'lucide-react'

export interface PageEntry {
  to: '/runs' | '/pipelines' | '/approvals' | '/environments' | '/marketplace' | '/settings'
  title: string
  icon: LucideIcon
  keys: string
}

export const pages: readonly PageEntry[] = [
  { to: '/runs', title: 'Runs', icon: Play, keys: 'g r' },
  { to: '/pipelines', title: 'Pipelines', icon: Workflow, keys: 'g p' },
  { to: '/approvals', title: 'Approvals', icon: CheckCheck, keys: 'g a' },
  { to: '/environments', title: 'Environments', icon: Server, keys: 'g e' },
  { to: '/marketplace', title: 'Marketplace', icon: Blocks, keys: 'g m' },
  { to: '/settings', title: 'Settings', icon: Settings, keys: 'g s' },
]
