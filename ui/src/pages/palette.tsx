// What the palette finds of plugins, environments and settings. Imported once, before anything is drawn.
import { Blocks, Server, Settings } from 'lucide-react'
import { $api } from '@/api/client'
import { sources } from '@/app/search'

const SETTINGS = [
  ['Profile', 'profile'],
  ['Users', 'users'],
  ['API keys', 'keys'],
  ['Secrets', 'secrets'],
  ['Registries', 'registries'],
  ['Audit log', 'audit'],
  ['About', 'about'],
] as const

/** All of these are in the way until somebody looks for one. */
const asked = <T,>(words: string, all: readonly T[]): readonly T[] => (words.trim() === '' ? [] : all)

sources.push(
  (words, open) => {
    const plugins = $api.useQuery('get', '/api/v1/plugins', {}, { enabled: open }).data ?? []
    return {
      title: 'Plugins',
      hits: asked(words, plugins).map(({ name, version }) => ({
        to: `/marketplace/${name.replace(':', '/')}`,
        title: name,
        detail: version,
        icon: <Blocks aria-hidden />,
      })),
    }
  },
  (words, open) => {
    const environments = $api.useQuery('get', '/api/v1/admin/environments', {}, { enabled: open }).data ?? []
    return {
      title: 'Environments',
      hits: asked(words, environments).map(({ id, name, provider }) => ({
        to: `/environments/${id}`,
        title: name,
        detail: provider,
        icon: <Server aria-hidden />,
      })),
    }
  },
  (words) => ({
    title: 'Settings',
    hits: asked(words, SETTINGS).map(([title, path]) => ({ to: `/settings/${path}`, title, icon: <Settings aria-hidden /> })),
  }),
)
