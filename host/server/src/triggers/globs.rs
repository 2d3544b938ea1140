//! Lists of globs as repositories' hosts read them: in their order, the last that fits decides, and `!` takes away.

use globset::{GlobBuilder, GlobMatcher};

/// A list of globs. `*` and `?` stay within a path's segment, `**` does not.
#[derive(Debug, Clone)]
pub(super) struct Globs(Vec<(GlobMatcher, bool)>);

impl Globs {
    /// Reads a list; else the index of the first that is wrong, and why.
    pub(super) fn new(globs: &[String]) -> Result<Globs, (usize, String)> {
        let each = globs.iter().enumerate().map(|(index, text)| {
            let (glob, takes) = match text.strip_prefix('!') {
                Some(glob) => (glob, false),
                None => (text.as_str(), true),
            };
            if glob.is_empty() {
                return Err((index, "a glob is not empty".to_owned()));
            }
            let built = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
            Ok((built.map_err(|error| (index, error.to_string()))?.compile_matcher(), takes))
        });
        let globs: Vec<_> = each.collect::<Result<_, _>>()?;
        if !globs.is_empty() && globs.iter().all(|(_, takes)| !takes) {
            return Err((0, "every glob takes away, so none could fit; put `**` before them".to_owned()));
        }
        Ok(Globs(globs))
    }

    /// Whether there is none, which fits everything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        let decides = self.0.iter().rev().find(|(glob, _)| glob.is_match(text));
        self.0.is_empty() || decides.is_some_and(|(_, takes)| *takes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_fits_decides() {
        let check = |globs: &[&str], text: &str, expect: bool| {
            let globs: Vec<String> = globs.iter().map(|&glob| glob.to_owned()).collect();
            assert_eq!(Globs::new(&globs).map(|globs| globs.fits(text)), Ok(expect), "{globs:?} {text}");
        };
        check(&[], "anything", true);
        check(&["main"], "main", true);
        check(&["main"], "maintenance", false);
        check(&["release/*"], "release/1", true);
        check(&["release/*"], "release/1/2", false);
        check(&["release/**"], "release/1/2", true);
        check(&["**", "!docs/**"], "docs/a.md", false);
        check(&["**", "!docs/**", "docs/api/**"], "docs/api/x.md", true);
        check(&["**/*.rs"], "main.rs", true);
        check(&["src/**", "!**/*.md"], "src/a/b.md", false);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_index() {
        let new = |globs: &[&str]| Globs::new(&globs.iter().map(|&g| g.to_owned()).collect::<Vec<_>>()).map(|_| ());
        assert!(matches!(new(&["a", "[b"]), Err((1, _))));
        assert!(matches!(new(&["!"]), Err((0, _))));
        assert!(matches!(new(&["!docs/**"]), Err((0, _))));
    }
}
