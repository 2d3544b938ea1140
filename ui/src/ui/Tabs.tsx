// Tabs within a page. Tabs that have an address of their own are links: `TabLinks` around TanStack's <Link className={tabLink}>.
import { Tabs as RadixTabs } from 'radix-ui'
import type { ReactNode } from 'react'
import css from './ui.module.css'

export interface Tab {
  value: string
  label: ReactNode
  count?: number | undefined
  content: ReactNode
}

export function Tabs(props: { tabs: readonly Tab[]; value: string; onChange: (value: string) => void; label: string }) {
  return (
    <RadixTabs.Root value={props.value} onValueChange={props.onChange}>
      <RadixTabs.List className={css.tabs} aria-label={props.label}>
        {props.tabs.map((tab) => (
          <RadixTabs.Trigger key={tab.value} value={tab.value} className={css.tab}>
            {tab.label}
            {tab.count !== undefined && <span className={css.tabCount}>{tab.count}</span>}
          </RadixTabs.Trigger>
        ))}
      </RadixTabs.List>
      {props.tabs.map((tab) => (
        <RadixTabs.Content key={tab.value} value={tab.value} style={{ paddingTop: 16 }}>
          {tab.content}
        </RadixTabs.Content>
      ))}
    </RadixTabs.Root>
  )
}

export const TabLinks = ({ label, children }: { label: string; children: ReactNode }) => (
  <nav className={css.tabs} aria-label={label}>
    {children}
  </nav>
)
/** The class of a link in `TabLinks`; the current one carries `aria-current="page"`, which TanStack's Link sets. */
export const tabLink = css.tab ?? ''
