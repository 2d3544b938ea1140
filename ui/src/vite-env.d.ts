/// <reference types="vite/client" />

interface ImportMetaEnv {
  /** `1`: the gallery is built, too. */
  readonly VITE_GALLERY?: string
}
