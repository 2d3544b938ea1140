/** A text of a schema or of the server: what stands between backticks is code, and nothing else is special. */
export const Words = ({ text }: { text: string }) => (
  <>
    {text.split('`').map((part, index) =>
      // Parts have no names of their own, and never move.
      index % 2 === 1 ? <code key={index}>{part}</code> : part,
    )}
  </>
)
