// The pipeline editor: YAML with the server's diagnostics at line and column, and completion out of the JSON Schema.
// Load it with `lazyEditor`: CodeMirror is larger than everything else of a page together.
import {
  autocompletion,
  closeBrackets,
  completionKeymap,
  startCompletion,
  type Completion,
  type CompletionContext,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { bracketMatching, foldGutter, HighlightStyle, indentUnit, syntaxHighlighting } from '@codemirror/language'
import { forceLinting, linter, lintGutter, lintKeymap, type Diagnostic as Mark } from '@codemirror/lint'
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search'
import { Compartment, EditorState } from '@codemirror/state'
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
} from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useRef } from 'react'
import { placeAt } from './place'
import { describeAt, keysAt, valuesAt, type Schema } from './schema'

/** As `windlass lint` says it. Lines and columns count from 1. */
export interface Diagnostic {
  severity: 'error' | 'warning' | 'info'
  line: number
  column: number
  /** The end; the end of the word where it is not said. */
  endLine?: number | undefined
  endColumn?: number | undefined
  code?: string | undefined
  message: string
  /** What to write instead. */
  help?: string | undefined
}

export interface EditorProps {
  value: string
  onChange: (value: string) => void
  /** Asked some time after the last key. What it throws is not shown: the page says that the server does not answer. */
  lint?: ((text: string) => Promise<readonly Diagnostic[]>) | undefined
  /** What the last lint said, for the list beside the editor. */
  onDiagnostics?: (diagnostics: readonly Diagnostic[]) => void
  schema?: Schema | undefined
  readOnly?: boolean
  label?: string
  /** A place to go to; a new object goes there again. */
  goTo?: { line: number; column: number } | undefined
  height?: string
}

const LINT_AFTER_MS = 350 // a person who pauses wants to know; one who types does not

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--syn-key)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--syn-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--syn-number)' },
  { tag: [tags.keyword, tags.typeName, tags.labelName, tags.meta], color: 'var(--syn-keyword)' },
  { tag: tags.comment, color: 'var(--syn-comment)', fontStyle: 'italic' },
  { tag: [tags.punctuation, tags.separator], color: 'var(--text-3)' },
])

const looks = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--log-bg)', color: 'var(--text)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '20px', fontFeatureSettings: '"calt" 0' },
  '.cm-content': { padding: '10px 0', caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--log-bg)', color: 'var(--log-line)', border: 'none', paddingLeft: '4px' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--surface-3) 45%, transparent)' },
  '.cm-activeLineGutter': { backgroundColor: 'transparent', color: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 26%, transparent)',
  },
  '.cm-selectionMatch, .cm-searchMatch': { backgroundColor: 'color-mix(in srgb, var(--wait-solid) 28%, transparent)' },
  '.cm-foldPlaceholder': { backgroundColor: 'var(--surface-3)', border: 'none', color: 'var(--text-2)', padding: '0 6px' },
  '.cm-tooltip': {
    border: 'none',
    borderRadius: '8px',
    backgroundColor: 'var(--surface)',
    boxShadow: 'var(--shadow)',
    color: 'var(--text)',
    fontFamily: 'var(--font)',
    fontSize: '13px',
    overflow: 'hidden',
    maxWidth: '440px',
  },
  '.cm-tooltip-hover': { padding: '8px 12px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    fontFamily: 'var(--mono)',
    fontSize: '12.5px',
    maxHeight: '260px',
    padding: '4px',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '4px 8px', borderRadius: '4px', lineHeight: '18px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--surface-3)', color: 'var(--text)' },
  '.cm-completionMatchedText': { textDecoration: 'none', color: 'var(--accent-text)', fontWeight: '600' },
  '.cm-completionDetail': { color: 'var(--text-3)', fontStyle: 'normal', marginLeft: '12px' },
  '.cm-tooltip.cm-completionInfo': { padding: '8px 12px', lineHeight: '19px', color: 'var(--text-2)' },
  '.cm-diagnostic': { padding: '8px 12px', borderLeft: 'none', lineHeight: '19px' },
  '.cm-diagnostic + .cm-diagnostic': { borderTop: '1px solid var(--border)' },
  '.cm-lintRange': {
    backgroundImage: 'none',
    textDecorationLine: 'underline',
    textDecorationStyle: 'wavy',
    textUnderlineOffset: '3px',
  },
  '.cm-lintRange-error': { textDecorationColor: 'var(--bad-solid)' },
  '.cm-lintRange-warning': { textDecorationColor: 'var(--wait-solid)' },
  '.cm-lintRange-info': { textDecorationColor: 'var(--run-solid)' },
  '.cm-lint-marker': { width: '9px', height: '9px', margin: '5px 2px', borderRadius: '50%', content: 'none !important' },
  '.cm-lint-marker-error': { backgroundColor: 'var(--bad-solid)' },
  '.cm-lint-marker-warning': { backgroundColor: 'var(--wait-solid)', borderRadius: '2px' },
  '.cm-lint-marker-info': { backgroundColor: 'var(--run-solid)' },
  '.cm-panels': { backgroundColor: 'var(--surface)', color: 'var(--text)', borderColor: 'var(--border)' },
  '.cm-panel.cm-search': { padding: '8px 12px', fontFamily: 'var(--font)' },
  '.cm-textfield': {
    border: '1px solid var(--border-input)',
    borderRadius: '6px',
    backgroundColor: 'var(--surface)',
    padding: '3px 8px',
  },
  '.cm-button': {
    border: '1px solid var(--border-strong)',
    borderRadius: '6px',
    backgroundImage: 'none',
    backgroundColor: 'var(--surface)',
    padding: '3px 8px',
  },
})

function complete(schema: Schema) {
  return (context: CompletionContext) => {
    const place = placeAt(context.state.doc.toString(), context.pos)
    if (!place || (!context.explicit && place.word === '' && place.kind === 'key')) return null
    const offers = place.kind === 'key' ? keysAt(schema, place.path, place.beside) : valuesAt(schema, place.path)
    if (offers.length === 0) return null
    const options = offers
      .filter((offer) => offer.kind === 'value' || !(offer.label in place.beside))
      .map((offer): Completion => {
        const indent = ' '.repeat(context.state.doc.lineAt(context.pos).text.search(/[^\s-]|$/) + 2)
        const after = offer.opens === 'map' ? `:\n${indent}` : offer.opens === 'list' ? `:\n${indent}- ` : ': '
        return {
          label: offer.label,
          type: offer.kind === 'key' ? 'property' : 'constant',
          ...(offer.detail !== undefined && { detail: offer.required ? `${offer.detail}, required` : offer.detail }),
          ...(offer.info !== undefined && { info: offer.info }),
          ...(offer.required && { boost: 1 }),
          ...(offer.kind === 'key' && {
            apply: (view: EditorView, _: Completion, from: number, to: number) => {
              view.dispatch({
                changes: { from, to, insert: offer.label + after },
                selection: { anchor: from + offer.label.length + after.length },
              })
              // Its values may be known, too.
              startCompletion(view)
            },
          }),
        }
      })
    return { from: place.from, options, validFor: /^[\w.:/-]*$/ }
  }
}

/** Diagnostics as ranges of the text, however far it has changed since they were made. */
function marks(state: EditorState, diagnostics: readonly Diagnostic[]): Mark[] {
  const place = (line: number, column: number) => {
    const at = state.doc.line(Math.min(Math.max(1, line), state.doc.lines))
    return Math.min(at.from + Math.max(0, column - 1), at.to)
  }
  return diagnostics.map((each) => {
    const from = place(each.line, each.column)
    let to = each.endColumn === undefined ? from : place(each.endLine ?? each.line, each.endColumn)
    if (to <= from) to = state.wordAt(from)?.to ?? Math.min(from + 1, state.doc.lineAt(from).to)
    return {
      from: Math.min(from, to),
      to,
      severity: each.severity,
      message: each.message,
      renderMessage: () => {
        const box = document.createElement('div')
        const say = (text: string, style: string) => {
          const part = box.appendChild(document.createElement('div'))
          part.textContent = text
          part.style.cssText = style
        }
        say(each.message, '')
        if (each.help !== undefined) say(each.help, 'color: var(--text-2); margin-top: 2px')
        if (each.code !== undefined) say(each.code, 'color: var(--text-3); font: 11.5px var(--mono); margin-top: 4px')
        return box
      },
    }
  })
}

export function Editor({
  value,
  onChange,
  lint,
  onDiagnostics,
  schema,
  readOnly = false,
  label = 'Pipeline',
  goTo,
  height = '100%',
}: EditorProps) {
  const host = useRef<HTMLDivElement>(null)
  const editor = useRef<EditorView>(undefined)
  const given = useRef({ value, onChange, lint, onDiagnostics })
  const schemaPart = useRef(new Compartment())
  const readPart = useRef(new Compartment())
  useEffect(() => {
    given.current = { value, onChange, lint, onDiagnostics }
  })

  useEffect(() => {
    if (!host.current) return
    const view = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: given.current.value,
        extensions: [
          lineNumbers(),
          foldGutter(),
          lintGutter(),
          history(),
          drawSelection(),
          bracketMatching(),
          closeBrackets(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSelectionMatches(),
          EditorState.allowMultipleSelections.of(true),
          indentUnit.of('  '),
          yaml(),
          syntaxHighlighting(colours),
          looks,
          // Tab indents; Escape and then Tab leaves, as the key map's documentation asks for.
          keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
          schemaPart.current.of([]),
          readPart.current.of([]),
          linter(
            async (view) => {
              const ask = given.current.lint
              if (!ask) return []
              const asked = view.state.doc
              try {
                const diagnostics = await ask(asked.toString())
                given.current.onDiagnostics?.(diagnostics)
                return view.state.doc === asked ? marks(view.state, diagnostics) : []
              } catch {
                return []
              }
            },
            { delay: LINT_AFTER_MS },
          ),
          EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) given.current.onChange(update.state.doc.toString())
          }),
        ],
      }),
    })
    editor.current = view
    forceLinting(view)
    return () => {
      view.destroy()
      editor.current = undefined
    }
  }, [label])

  useEffect(() => {
    const view = editor.current
    if (view && view.state.doc.toString() !== value) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } })
    }
  }, [value])

  useEffect(() => {
    editor.current?.dispatch({
      effects: schemaPart.current.reconfigure(
        schema === undefined
          ? []
          : [
              autocompletion({ override: [complete(schema)], icons: false, activateOnTyping: true }),
              hoverTooltip((view, position) => {
                const line = view.state.doc.lineAt(position)
                const key = /^[\s-]*([^\s:#][^:#]*):/.exec(line.text)
                const start = key?.[1] === undefined ? -1 : line.text.indexOf(key[1])
                if (!key?.[1] || position - line.from < start || position - line.from > start + key[1].length) return null
                const place = placeAt(view.state.doc.toString(), line.from + start)
                const words = place && describeAt(schema, [...place.path, { key: key[1].trim(), beside: place.beside }])
                if (words === undefined) return null
                return {
                  pos: line.from + start,
                  end: line.from + start + key[1].length,
                  create: () => {
                    const dom = document.createElement('div')
                    dom.textContent = words
                    return { dom }
                  },
                }
              }),
            ],
      ),
    })
  }, [schema, label])

  useEffect(() => {
    editor.current?.dispatch({
      effects: readPart.current.reconfigure(readOnly ? [EditorState.readOnly.of(true), EditorView.editable.of(false)] : []),
    })
  }, [readOnly, label])

  useEffect(() => {
    const view = editor.current
    if (!view || !goTo) return
    const line = view.state.doc.line(Math.min(Math.max(1, goTo.line), view.state.doc.lines))
    const anchor = Math.min(line.from + Math.max(0, goTo.column - 1), line.to)
    view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: 'center' }) })
    view.focus()
  }, [goTo])

  return <div ref={host} style={{ height, minHeight: 0, overflow: 'hidden' }} />
}
