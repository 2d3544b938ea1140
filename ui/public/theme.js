// Which theme, before the first paint. `src/app/theme.ts` writes the key and must agree with this file.
;(function () {
  var kept = null
  try {
    kept = localStorage.getItem('windlass-theme')
  } catch {
    // Storage may be forbidden: the system's choice counts.
  }
  var dark = kept === 'dark' || (kept !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
