// The editor, loaded when it is shown.
import { lazy, Suspense } from 'react'
import { Skeleton } from '@/ui/places'
import type { EditorProps } from './Editor'

export type { Diagnostic, EditorProps } from './Editor'
export type { Schema } from './schema'

const Loaded = lazy(() => import('./Editor').then((module) => ({ default: module.Editor })))

export const YamlEditor = (props: EditorProps) => (
  <Suspense fallback={<Skeleton height={props.height ?? '100%'} />}>
    <Loaded {...props} />
  </Suspense>
)
